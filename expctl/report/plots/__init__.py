"""Pictures of a comparison, for files and for the page."""
