"""No step for too long: every rank writes down where each of its threads stands."""

import faulthandler

from expctl.runs.files import Run


class HangReport:
    """Writes `stacks/rank-N.txt` when there was no sign of life for `minutes`; null never does.

    The interpreter's own watchdog writes it from a thread below Python, so that it also sees a rank that is stuck in a
    library. Training goes on, should it get free again.
    """

    def __init__(self, run: Run, rank: int, minutes: float | None):
        self._seconds = minutes * 60 if minutes else None
        self._path = run.stacks / f"rank-{rank}.txt"
        self._file = None
        if self._seconds:
            run.stacks.mkdir(exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
        self.moved()

    def moved(self) -> None:
        """A sign of life: the time begins again."""
        if self._file:
            faulthandler.dump_traceback_later(self._seconds, file=self._file)

    def end(self) -> None:
        """Stop watching; a report that was never needed leaves no file."""
        if self._file is None:
            return
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        if self._path.stat().st_size == 0:
            self._path.unlink()
            if not any(self._path.parent.iterdir()):
                self._path.parent.rmdir()
