"""Requests to stop: sent as a signal to any rank, agreed on by all ranks, obeyed where nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from expctl.runs import ranks
from expctl.runs.files import Run
from expctl.runs.manifest import FAILED, REFUSED
from expctl.runs.records import WorkerOutcome

POLL_SECONDS = 2.0
# How long a rank may take to find out by an error of its own that another rank is lost.
GRACE_SECONDS = 5.0


class StoppedError(Exception):
    """The ranks agreed to stop where there is nothing to save: before training, or when all of it is saved."""


class StopRequest:
    """Whether this rank was asked to stop, by any of the signals that a person, a launcher or a scheduler sends.

    Args:
        run: of the rank.
        leave: ends this process when nothing can be saved any more: another rank is lost, or a person insists.

    Attributes:
        requested: whether this rank received a signal.
        agreed: whether any rank did; the same on all ranks (see `expctl.worker.control_callbacks.agree_to_stop`).
        received: name of the first signal.
        may_abort: whether an evaluation may be aborted now, since everything before it is saved.
    """

    def __init__(self, run: Run, leave: Callable[[], None]) -> None:
        self.leave = leave
        self.requested = False
        self.received: str | None = None
        self.agreed = False
        self.may_abort = False
        self._run = run
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        insists = self.requested and number == signal.SIGINT
        if insists or peers_are_lost(self._run):
            # Nothing can be saved together any more, and waiting for the other ranks would not end.
            self.leave()
        self.requested = True
        self.received = self.received or signal.Signals(number).name

    @contextlib.contextmanager
    def abortable(self, saved: bool = True) -> Iterator[None]:
        """An evaluation in this block may be aborted by a request to stop, if everything before it is `saved`."""
        self.may_abort = saved
        yield
        self.may_abort = False


def peers_are_lost(run: Run) -> bool:
    """Whether a rank has failed, has refused to begin, or was lost."""
    outcome = WorkerOutcome.read(run.outcome)
    return (outcome is not None and outcome.status in (FAILED, REFUSED)) or bool(ranks.lost(run))


def exit_when_peers_are_lost(run: Run, stop: StopRequest) -> None:
    """Start a thread that ends this rank soon after another is lost: a collective would wait for it for minutes."""

    def watch() -> None:
        pause = threading.Event()
        while not peers_are_lost(run):
            pause.wait(POLL_SECONDS)
        pause.wait(GRACE_SECONDS)
        stop.leave()

    threading.Thread(target=watch, daemon=True).start()
