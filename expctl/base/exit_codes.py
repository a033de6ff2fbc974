"""What the command says to the shell, and a process that ends a run to its parent."""

EXIT_COMPLETED, EXIT_FAILED, EXIT_REFUSED, EXIT_INTERRUPTED = 0, 1, 2, 75
