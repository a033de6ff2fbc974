"""What is said of streamed data, for which a resumed run is not exact."""

STREAMED = "the data are streamed: a resumed run finds its place in the first pass over them only"
NOT_STREAMED = (
    "this loader streams nothing: its rows are in a file that is mapped and not held in memory, so that a resumed run "
    "finds its place exactly"
)
INSTEAD = "leave it out; dataset=files and dataset=hub stream, and a loader of your own may give an IterableDataset"
