"""One living owner a run: a lock that the kernel frees when its holder dies, and a heartbeat for other machines.

On one machine, and on file systems that share locks, the kernel's word is enough. On those that do not (many cluster
file systems lock each machine for itself) the holder counts up a number in the file every few seconds: a taker on
another machine looks whether it moves. No clock is compared with another's.
"""

import contextlib
import json
import os
import threading
import time
from pathlib import Path

from expctl.base.file_lock import is_locked, try_lock
from expctl.base.notice import notice
from expctl.runs.reading import load_json, open_plain, read_bytes
from expctl.runs.records import ProcessRecord

BEAT_SECONDS = 5.0
# A holder on another machine that has not been heard of for so long is gone.
SILENT_SECONDS = 30.0
# Whoever only asks whether a lock is held holds it for that moment.
ASKED_SECONDS = 0.3


class LockedError(Exception):
    """The run belongs to a process that is alive: `holder`, None where it has not written itself down yet."""

    def __init__(self, holder: ProcessRecord | None):
        process = f"process {holder.pid} on {holder.host}" if holder else "a process that has just started"
        super().__init__(f"held by {process}")
        self.holder = holder


class Lock:
    """A lock that is held until it is released or its process dies.

    Raises:
        LockedError: a living process holds it, here or on another machine.
    """

    def __init__(self, path: Path):
        self._path = path
        self._descriptor = _locked(path)
        self._holder = ProcessRecord(host=os.uname().nodename, pid=os.getpid())
        self._beats = 0
        last = _holder(path)
        if last and last.host != self._holder.host and _moves(path, last):
            os.close(self._descriptor)
            raise LockedError(last)
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
        self._beats += 1
        self._holder.beat = self._beats
        # A full disk, or a server that is away for a moment, is no reason to give the run up.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, json.dumps(self._holder.to_plain()).encode() + b"\n", 0)
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
            elsewhere = holder.host != os.uname().nodename
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
            raise LockedError(_holder(path))
        time.sleep(0.02)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that lies at the path by now."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _holder(path: Path) -> ProcessRecord | None:
    """The process that held the lock last and has not released it."""
    try:
        return ProcessRecord.from_plain(load_json(read_bytes(path).partition(b"\n")[0] or b"null"))
    except (OSError, ValueError):
        return None


def _moves(path: Path, before: ProcessRecord) -> bool:
    """Watch for a beat of a holder on another machine; False when there was none for long enough."""
    process = f"process {before.pid} on {before.host}"
    notice(f"{process} had {path.parent.name} last: waiting up to {SILENT_SECONDS:.0f} s for a sign of life")
    until = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < until:
        time.sleep(min(BEAT_SECONDS, SILENT_SECONDS) / 5)
        now = _holder(path)
        if now is None:
            return False  # released
        if now != before:
            return True
    return False
