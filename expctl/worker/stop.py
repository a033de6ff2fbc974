"""Being told to stop: by a signal on any rank, agreed on by all ranks at the end of a step."""

import ctypes
import os
import signal
from pathlib import Path
from types import FrameType

from expctl.runs.files import Run

PR_SET_PDEATHSIG = 1


class StopRequest:
    """Whether this rank was told to stop, by any of the signals that a person, a launcher or a scheduler sends."""

    def __init__(self, run: Run) -> None:
        self.asked = False
        self._run = run
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._run.outcome.exists():
            # Another rank has failed: nothing can be saved together any more, and waiting for it would not end.
            os._exit(1)
        self.asked = True


def die_with_parent() -> None:
    """Be told to stop when the process that started this rank dies, so that no rank is left behind."""
    if Path("/proc").exists():
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:
            os._exit(1)
