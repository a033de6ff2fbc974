"""Takes from this process, for good, what a program that nobody has read must not have."""

import ctypes
import errno
import os
import resource
import signal
from collections.abc import Sequence

from expctl.rewards.sandbox.landlock import only_read_libraries
from expctl.rewards.sandbox.seccomp import filter_calls

PARENT_DEATH = 1  # of prctl: the signal that comes when the parent ends
MOST_FILES = 64  # open at a time
STACK = 64 << 20  # bytes, of the main thread


def limit(seconds: int, memory: int, parent: int | None) -> None:
    """Limit processor time, memory and files of this process, and let it end with its parent.

    Args:
        seconds: of processor time.
        memory: bytes of address space.
        parent: process id of the one that started this; where that has ended already, this process ends too. None
            where another sees to that.
    """
    if parent is not None and hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the signal was asked for
            os._exit(1)
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: MOST_FILES,
        resource.RLIMIT_STACK: STACK,
    }
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (lowered, lowered))


def close_doors(*, files: bool, calls: bool, packages: Sequence[Sequence[str]] = ()) -> None:
    """Let this process open nothing but libraries (`files`), and make no calls but those of computing (`calls`).

    Args:
        files: close files.
        calls: close calls of the kernel.
        packages: name and folder of installed packages that count as libraries.

    Raises:
        OSError: the kernel cannot; the message says which.
    """
    if files:
        _named("Landlock, which closes files (Linux 5.13)", lambda: only_read_libraries(packages))
    if calls:
        _named("seccomp, which closes network and processes", filter_calls)


def _named(what: str, close: object) -> None:
    assert callable(close)
    try:
        close()
    except OSError as error:
        raise OSError(
            error.errno or errno.ENOSYS, f"the kernel has no {what}: {os.strerror(error.errno or 0)}"
        ) from error
