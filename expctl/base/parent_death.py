"""Ties between a process and the one that started it."""

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1


def exit_with_parent(parent: int) -> Callable[[], None]:
    """What makes the process that calls it hear SIGTERM when `parent`, which started it, dies.

    Made before a fork and called after it, since a library must not be loaded in between. Where the kernel cannot do
    it (no Linux) it does nothing.
    """
    libc = ctypes.CDLL(None, use_errno=True) if Path("/proc").exists() else None

    def ask() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it was faster
                os._exit(1)

    return ask
