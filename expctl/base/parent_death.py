"""End a child process with the process that started it."""

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1


def exit_with_parent(parent: int) -> Callable[[], None]:
    """A function that makes its caller receive SIGTERM when `parent`, which started the caller, dies.

    Make it before a fork and call it in the child, where no library may be loaded. Without Linux it does nothing.
    """
    libc = ctypes.CDLL(None, use_errno=True) if Path("/proc").exists() else None

    def ask() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it was faster
                os._exit(1)

    return ask
