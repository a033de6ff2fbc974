"""Being told to stop: by a signal on any rank, agreed on by all ranks, and done where nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from expctl.runs import ranks
from expctl.runs.files import Run
from expctl.runs.manifest import FAILED, REFUSED
from expctl.runs.records import WorkerOutcome

LOOK_SECONDS = 2.0
# What a rank is given to find out by itself, with an error of its own, that another is gone.
GRACE_SECONDS = 5.0


class StoppedError(Exception):
    """The ranks agreed to stop where there is nothing to save: before training, or when all of it is saved."""


class StopRequest:
    """Whether this rank was told to stop, by any of the signals that a person, a launcher or a scheduler sends.

    `asked` is this rank's own knowledge; `agreed` is the same on all ranks (see `agree` of
    `expctl.worker.control_callbacks`).
    `leave` ends this process when there is nothing to save any more: another rank is gone, or a person insists.
    """

    def __init__(self, run: Run, leave: Callable[[], None]) -> None:
        self.leave = leave
        self.asked = False
        self.received: str | None = None
        self.agreed = False
        self.may_break_off = False
        self._run = run
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        again = self.asked and number == signal.SIGINT
        if again or peers_are_gone(self._run):
            # Nothing can be saved together any more, and waiting for the others would not end.
            self.leave()
        self.asked = True
        self.received = self.received or signal.Signals(number).name

    @contextlib.contextmanager
    def breaking_off(self, saved: bool = True) -> Iterator[None]:
        """What runs in here may be broken off when told to stop, if everything before it is saved."""
        self.may_break_off = saved
        yield
        self.may_break_off = False


def peers_are_gone(run: Run) -> bool:
    """Whether a rank has failed, has refused to begin, or was lost."""
    outcome = WorkerOutcome.read(run.outcome)
    return (outcome is not None and outcome.status in (FAILED, REFUSED)) or bool(ranks.lost(run))


def leave_when_peers_are_gone(run: Run, stop: StopRequest) -> None:
    """From a thread: an operation of all ranks may wait many minutes for one that is dead; this rank does not."""

    def watch() -> None:
        pause = threading.Event()
        while not peers_are_gone(run):
            pause.wait(LOOK_SECONDS)
        pause.wait(GRACE_SECONDS)
        stop.leave()

    threading.Thread(target=watch, daemon=True).start()
