"""One living owner a run: a lock that the kernel frees when its holder dies, and a heartbeat for other machines.

On one machine, and on file systems that share locks, the kernel's word is enough. On those that do not (many cluster
file systems lock each machine for itself) the holder counts up a number in the file every few seconds: a taker on
another machine looks whether it moves. No clock is compared with another's.
"""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from expctl.base.file_lock import is_locked, try_lock
from expctl.base.notice import notice
from expctl.runs.reading import load_json, open_plain, read_bytes

BEAT_SECONDS = 5.0
# A holder on another machine that has not been heard of for so long is gone.
SILENT_SECONDS = 30.0
# Whoever only asks whether a lock is held holds it for that moment.
ASKED_SECONDS = 0.3


class LockedError(Exception):
    """The run belongs to a process that is alive; `holder` says which (`host`, `pid`)."""

    def __init__(self, holder: dict[str, Any]):
        super().__init__(f"held by process {holder.get('pid')} on {holder.get('host')}")
        self.holder = holder


class Lock:
    """A lock that is held until it is released or its process dies.

    Raises:
        LockedError: a living process holds it, here or on another machine.
    """

    def __init__(self, path: Path):
        self._path = path
        self._descriptor = _locked(path)
        self._holder: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "beat": 0}
        left = _holder(path)
        if left and left.get("host") != self._holder["host"] and _moves(path, left):
            os.close(self._descriptor)
            raise LockedError(left)
        self._released, self._writing = threading.Event(), threading.Lock()
        os.ftruncate(self._descriptor, 0)
        self._write()
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Give the lock up; another may have it at once."""
        self._released.set()
        with self._writing:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            with self._writing:
                if not self._released.is_set():
                    self._write()

    def _write(self) -> None:
        self._holder["beat"] += 1
        # A full disk, or a server that is away for a moment, is no reason to give the run up.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, json.dumps(self._holder).encode() + b"\n", 0)
            os.fsync(self._descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process seems to hold the lock; asked without waiting, and without writing."""
    holder = _holder(path)
    if holder is None:  # released, or never held
        return False
    try:
        with open_plain(path) as file:
            if is_locked(file.fileno()):
                return True
            elsewhere = holder.get("host") != socket.gethostname()
            return elsewhere and abs(time.time() - os.fstat(file.fileno()).st_mtime) < SILENT_SECONDS
    except (OSError, ValueError):
        return False


def _locked(path: Path) -> int:
    """Descriptor of the file at `path`, locked."""
    until = time.monotonic() + ASKED_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if try_lock(descriptor) and _is_at(descriptor, path):
            return descriptor
        # Somebody holds it, or only asks, or the folder was set aside in the meantime and made anew.
        os.close(descriptor)
        if time.monotonic() > until:
            raise LockedError(_holder(path) or {})
        time.sleep(0.02)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that lies at the path by now."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _holder(path: Path) -> dict[str, Any] | None:
    """Who wrote itself into the lock last without releasing it."""
    try:
        holder = load_json(read_bytes(path).partition(b"\n")[0] or b"null")
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) else None


def _moves(path: Path, before: dict[str, Any]) -> bool:
    """Watch for a beat of a holder on another machine; False when there was none for long enough."""
    who = f"process {before.get('pid')} on {before.get('host')}"
    notice(f"{who} had {path.parent.name} last: looking up to {SILENT_SECONDS:.0f} s for a sign of life")
    until = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < until:
        time.sleep(min(BEAT_SECONDS, SILENT_SECONDS) / 5)
        now = _holder(path)
        if now is None:
            return False  # released
        if now != before:
            return True
    return False
