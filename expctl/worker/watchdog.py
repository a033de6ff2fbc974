"""A watchdog against hangs: when no step comes for too long, every rank writes the stacks of its threads."""

import contextlib
import faulthandler
import sys
import threading
import time
import traceback
from typing import TextIO

from expctl.runs.files import Run

POLL_SECONDS = 2.0


class HangWatchdog:
    """Writes `stacks/rank-N.txt` when `reset` was not called for `minutes`; never where that is None.

    A thread writes it, since it can walk the stack of every other. Where that thread cannot run for so long, since a
    library holds the interpreter's lock, `faulthandler`'s own watchdog does, from below Python. (It is not used alone:
    to walk the stack of a running thread from below can crash.) Training goes on, should it get free.
    """

    def __init__(self, run: Run, rank: int, minutes: float | None):
        self._path = run.stacks / f"rank-{rank}.txt"
        self._file: TextIO | None = None
        self._ended = threading.Event()
        self.reset()
        if minutes:
            run.stacks.mkdir(exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
            watch = threading.Thread(
                target=self._watch, args=(self._file, minutes * 60), name="expctl hang watchdog", daemon=True
            )
            watch.start()

    def reset(self) -> None:
        """A sign of life: the time starts again."""
        self._last_sign = time.monotonic()
        self._reported = False

    def end(self) -> None:
        """Stop watching. A report that was never needed leaves no file."""
        if self._file is None:
            return
        self._ended.set()
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        if self._path.stat().st_size == 0:
            self._path.unlink()
            with contextlib.suppress(OSError):  # other ranks have files there, or removed it at the same moment
                self._path.parent.rmdir()

    def _watch(self, file: TextIO, seconds: float) -> None:
        while not self._ended.wait(min(POLL_SECONDS, seconds / 4)):
            faulthandler.dump_traceback_later(seconds + POLL_SECONDS, file=file)
            if time.monotonic() - self._last_sign > seconds and not self._reported:
                self._reported = True
                file.write(thread_stacks())
                file.flush()


def thread_stacks() -> str:
    """The stack of every thread of this process, the innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = []
    for ident, frame in sys._current_frames().items():
        calls = "".join(traceback.format_stack(frame))
        stacks.append(f"thread {names.get(ident, ident)}:\n{calls}")
    return "\n".join(stacks) + "\n"
