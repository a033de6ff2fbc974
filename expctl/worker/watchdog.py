"""No step for too long: every rank writes down where each of its threads stands."""

import contextlib
import faulthandler
import sys
import threading
import time
import traceback

from expctl.runs.files import Run

LOOK_SECONDS = 2.0


class HangReport:
    """Writes `stacks/rank-N.txt` when there was no sign of life for `minutes`; null never does.

    A thread does it, which sees every other as it stands. Where that thread itself cannot run for so long, since a
    library keeps the interpreter to itself, the interpreter's own watchdog does, from below Python. (It would be there
    alone if it were not deadly to look at a thread from below that is running.) Training goes on, should it get free.
    """

    def __init__(self, run: Run, rank: int, minutes: float | None):
        self._seconds = minutes * 60 if minutes else None
        self._path = run.stacks / f"rank-{rank}.txt"
        self._file = None
        self._over = threading.Event()
        self.moved()
        if self._seconds:
            run.stacks.mkdir(exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
            threading.Thread(target=self._watch, name="expctl looks for a hang", daemon=True).start()

    def moved(self) -> None:
        """A sign of life: the time begins again."""
        self._last = time.monotonic()
        self._reported = False

    def end(self) -> None:
        """Stop watching; a report that was never needed leaves no file."""
        if self._file is None:
            return
        self._over.set()
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        if self._path.stat().st_size == 0:
            self._path.unlink()
            with contextlib.suppress(OSError):  # other ranks have files there, or were the last at the same moment
                self._path.parent.rmdir()

    def _watch(self) -> None:
        while not self._over.wait(min(LOOK_SECONDS, self._seconds / 4)):
            faulthandler.dump_traceback_later(self._seconds + LOOK_SECONDS, file=self._file)
            if time.monotonic() - self._last > self._seconds and not self._reported:
                self._reported = True
                self._file.write(stacks())
                self._file.flush()


def stacks() -> str:
    """Where every thread of this process stands, the innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found = [
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    ]
    return "\n".join(found) + "\n"
