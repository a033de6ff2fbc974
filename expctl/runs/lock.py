"""One living owner a run: a lock that the kernel frees when its holder dies."""

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO


class LockedError(Exception):
    """The run belongs to a process that is alive; `holder` says which (`host`, `pid`)."""

    def __init__(self, holder: dict[str, str | int]):
        super().__init__(f"held by process {holder.get('pid')} on {holder.get('host')}")
        self.holder = holder


def take(path: Path) -> IO[str]:
    """Hold the lock as long as the returned file stays open.

    Raises:
        LockedError: another living process holds it.
    """
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        text = file.read()
        file.close()
        raise LockedError(json.loads(text) if text.startswith("{") else {}) from None
    file.truncate(0)
    file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    file.flush()
    return file


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
