"""One job of a sweep, from its overrides to its result. People know it as a cell of the grid."""

import time
from dataclasses import dataclass

from expctl.base.exit_codes import EXIT_INTERRUPTED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.devices.leases import Lease
from expctl.launch.launch import Attempt, Outcome
from expctl.runs.files import Run
from expctl.runs.manifest import REFUSED, RUNNING
from expctl.runs.records import LedgerCell, Summary

WAITING, HELD_BY_ANOTHER, PRUNED = "waiting", "elsewhere", "pruned"


@dataclass(frozen=True)
class Refused:
    """The job does not compose, or its experiment cannot be started: it has no run."""

    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class Composed:
    """What every job has that is to be run; its subclasses say how far it is."""

    experiment: Experiment
    run: Run


class Waiting(Composed):
    """Not begun, or in a scheduler's queue."""


class HeldByAnother(Composed):
    """Another command has the run."""


class Running(Composed):
    """An attempt is under way."""


@dataclass(frozen=True)
class RunningHere(Running):
    """An attempt is under way on this machine, with devices of its own."""

    attempt: Attempt
    lease: Lease


@dataclass(frozen=True)
class Ended:
    """The job is over. `seconds`: how long it took, None if this command has not seen it run.

    `experiment` is None where the run was completed before and its words were not composed again.
    """

    run: Run
    outcome: Outcome
    experiment: Experiment | None = None
    seconds: float | None = None


@dataclass
class SweepJob:
    """A job: its overrides, those of them that set it apart as a person types them, and how far it is.

    `began`: when this command last saw it begin, as `time.monotonic` has it.
    """

    overrides: tuple[str, ...]
    words: tuple[str, ...]
    state: Refused | Composed | Ended
    began: float | None = None

    @property
    def run(self) -> Run:
        """The job's run.

        Raises:
            ValueError: the job is refused, so it has none.
        """
        if isinstance(self.state, Refused):
            raise ValueError(f"{' '.join(self.overrides)} is refused: it has no run")
        return self.state.run

    @property
    def experiment(self) -> Experiment | None:
        """The composed experiment; None of a job that is refused, or was completed before and is not composed."""
        return None if isinstance(self.state, Refused) else self.state.experiment

    @property
    def to_run(self) -> Composed:
        """The state of a job that has not ended.

        Raises:
            ValueError: the job has ended, or is refused.
        """
        if isinstance(self.state, Composed):
            return self.state
        raise ValueError(f"{' '.join(self.overrides)} is not to be run: it is {self.status}")

    @property
    def status(self) -> str:
        """The state in a word, as tables and the ledger have it."""
        if isinstance(self.state, Ended):
            return self.state.outcome.status
        if isinstance(self.state, Refused):
            return REFUSED
        if isinstance(self.state, Running):
            return RUNNING
        return HELD_BY_ANOTHER if isinstance(self.state, HeldByAnother) else WAITING

    @property
    def objective(self) -> float | None:
        """The value that jobs are compared by, once it has one."""
        return self.state.outcome.objective if isinstance(self.state, Ended) else None

    @property
    def error(self) -> str | None:
        """Why the job failed or is refused."""
        if isinstance(self.state, Refused):
            return f"refused: {self.state.refusals[0].what}"
        return self.state.outcome.error if isinstance(self.state, Ended) else None

    @property
    def name(self) -> str:
        """What sets the job apart from the others."""
        return " ".join(self.words) or self.run.run_id

    @property
    def forced(self) -> bool:
        """Whether it is done again although it was completed before (`force=true`)."""
        return self.experiment is not None and self.experiment.forced

    def begin(self, running: Running) -> None:
        """An attempt at its run is under way."""
        self.began = time.monotonic()
        self.state = running

    def end(self, outcome: Outcome) -> None:
        """The job is over."""
        seconds = None if self.began is None else time.monotonic() - self.began
        self.state = Ended(self.run, outcome, self.experiment, seconds)

    def prune(self) -> None:
        """The job has no prospect: a search has stopped it, with a checkpoint."""
        self.end(Outcome(EXIT_INTERRUPTED, PRUNED))

    def cell(self) -> LedgerCell:
        """The job as the ledger has it."""
        return LedgerCell(
            run_id=self.run.run_id,
            words=list(self.words),
            status=self.status,
            objective=self.objective,
            error=self.error,
        )


def objective_of(job: SweepJob) -> tuple[str, str]:
    """Name of the metric that jobs are compared by, and its direction: `maximize` or `minimize`."""
    if job.experiment is None:
        summary = Summary.read(job.run.summary) or Summary()
        return summary.objective_name or "objective", summary.direction or "maximize"
    algorithm = job.experiment.config["algorithm"]
    return algorithm["objective"], algorithm["direction"]


def shared_overrides(overrides: list[tuple[str, ...]]) -> set[str]:
    """The overrides that all of several jobs have; one job alone shares none."""
    return set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
