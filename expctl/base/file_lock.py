"""Locks on open files (flock): the kernel frees one when its last descriptor is closed, however a process ends."""

import fcntl


def lock(descriptor: int) -> None:
    """Lock an open file for this process alone; wait while another has it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file for this process alone, or as one of many that share it; False where another has it."""
    return _try(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def is_locked(descriptor: int) -> bool:
    """Whether another process has locked an open file for itself.

    To find out, the file is locked as one of many readers until the descriptor is closed.
    """
    return not _try(descriptor, fcntl.LOCK_SH)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
