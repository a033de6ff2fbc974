"""Exit codes of the command, and of a worker to its parent."""

EXIT_COMPLETED, EXIT_FAILED, EXIT_REFUSED, EXIT_INTERRUPTED = 0, 1, 2, 75
