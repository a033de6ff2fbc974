"""Which ranks of a run are alive, and which were lost: one file for each rank, locked while its process lives."""

import json
import os
import re
import signal
import time
from pathlib import Path

from expctl.base.file_lock import is_locked, lock
from expctl.runs.files import Run
from expctl.runs.reading import load_json, open_plain
from expctl.runs.records import ProcessRecord

LEFT = b"left"
# A rank says who it is in a line.
MOST_BYTES = 4096


class Presence:
    """Shows that this rank is alive, to the others and to the command that started it, until the process ends."""

    def __init__(self, run: Run, rank: int):
        run.ranks.mkdir(exist_ok=True)
        self._descriptor = os.open(run.ranks / f"rank-{rank}", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        lock(self._descriptor)
        process = ProcessRecord(rank=rank, pid=os.getpid(), host=os.uname().nodename)
        os.pwrite(self._descriptor, json.dumps(process.to_plain()).encode() + b"\n", 0)

    def leave(self) -> None:
        """Say that this rank ends of its own accord."""
        os.lseek(self._descriptor, 0, os.SEEK_END)
        os.write(self._descriptor, LEFT)


def alive(run: Run) -> list[ProcessRecord]:
    """The ranks whose processes are there."""
    return [rank for rank, is_alive, _ in _ranks(run) if is_alive]


def lost(run: Run) -> list[ProcessRecord]:
    """The ranks that started and ended without saying so: killed, or crashed below Python."""
    return [rank for rank, is_alive, has_left in _ranks(run) if not is_alive and not has_left]


def describe(lost_ranks: list[ProcessRecord]) -> str:
    """A sentence about lost ranks."""
    names = ", ".join(f"rank {lost.rank} (process {lost.pid} on {lost.host})" for lost in lost_ranks)
    return f"{names} was killed or crashed without a word (out of memory?)"


def wait_for_end(run: Run, seconds: float) -> bool:
    """Wait until no rank is alive: those of a command that was killed are saving what they have."""
    until = time.monotonic() + seconds
    while alive(run):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def kill(run: Run) -> None:
    """End the ranks on this machine at once; launchers start them in sessions of their own."""
    for rank in alive(run):
        if rank.host == os.uname().nodename:
            os.kill(rank.pid, signal.SIGKILL)


def clear(run: Run) -> None:
    """Clear the list for a new attempt."""
    for file in _files(run):
        file.unlink(missing_ok=True)


def _files(run: Run) -> list[Path]:
    return sorted(path for path in run.ranks.glob("rank-*") if re.fullmatch(r"rank-\d+", path.name))


def _ranks(run: Run) -> list[tuple[ProcessRecord, bool, bool]]:
    """Each rank, whether it is alive, and whether it has said that it ends."""
    ranks = []
    for path in _files(run):
        try:
            with open_plain(path) as file:
                is_alive = is_locked(file.fileno())
                line, _, rest = file.read(MOST_BYTES).partition(b"\n")
            rank = ProcessRecord.from_plain(load_json(line)) if line else None
        except (OSError, ValueError):
            continue
        if rank is not None and rank.rank is not None:
            ranks.append((rank, is_alive, rest.startswith(LEFT)))
    return ranks
