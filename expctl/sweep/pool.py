"""Cells of a sweep side by side on this machine, each with devices of its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from expctl.base.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from expctl.base.experiment import Experiment
from expctl.config.resumable import inexact
from expctl.devices.leases import Lease, Machine
from expctl.launch.launch import Attempt, Outcome, begin, not_begun, unwritten
from expctl.launch.process import Signals, Start, Workers
from expctl.runs import manifest
from expctl.runs.checkpoints import ForeignCheckpointError
from expctl.runs.claim import claim
from expctl.runs.files import Run
from expctl.runs.lock import LockedError
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, REFUSED, RUNNING
from expctl.runs.records import Summary

WAITING, ELSEWHERE = "waiting", "elsewhere"
ENDED = (COMPLETED, FAILED, INTERRUPTED, REFUSED)
LOOK_SECONDS, ELSEWHERE_SECONDS = 0.1, 2.0
# Cells at once on the CPU where nothing says how many threads one needs.
MOST_AT_ONCE = 4


@dataclass
class Place:
    """A cell on its way through the pool; one that was completed before needs no `experiment`."""

    words: tuple[str, ...]
    experiment: Experiment | None
    run: Run
    status: str = WAITING
    outcome: Outcome | None = None
    began: float | None = None
    seconds: float | None = None
    attempt: Attempt | None = None
    lease: Lease | None = field(default=None, repr=False)


def objective_of(place: Place) -> tuple[str, str]:
    """Name of the metric that cells are judged by, and its direction: `maximize` or `minimize`."""
    if place.experiment is None:
        summary = Summary.read(place.run.summary) or Summary()
        return summary.objective_name or "objective", summary.direction or "maximize"
    algorithm = place.experiment.config["algorithm"]
    return algorithm["objective"], algorithm["direction"]


class Pool:
    """Begins cells in their order as devices get free, and ends with all of them.

    The order is kept also where a later cell would fit sooner: one that needs many devices is not passed over for ever.
    A cell that another sweep is at is left to it, and taken over should it be given up.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        n_jobs: int | None,
        fail_fast: bool,
        start: Callable[[Experiment], Start] = lambda experiment: Workers,
        look: Callable[[], None] = lambda: None,
    ):
        self._places = places
        self._machine = Machine()
        self._n_jobs = n_jobs
        self._fail_fast = fail_fast
        self._start = start
        self._look = look
        self._asked_elsewhere = 0.0
        self._stopping = False

    def run(self) -> str | None:
        """All cells to their end; the signal that broke it off, if one did."""
        with Signals(self._told) as signals:
            try:
                while not all(place.status in ENDED for place in self._places):
                    self._reap()
                    self._ask_elsewhere()
                    self._begin()
                    self._look()
                    time.sleep(LOOK_SECONDS)
            except BaseException:
                self._told("SIGTERM", True)
                raise
            return signals.received

    def _told(self, received: str, again: bool) -> None:
        self._stopping = True
        for place in self._running():
            place.attempt.stop(received, at_once=again)

    def _running(self) -> list[Place]:
        return [place for place in self._places if place.status == RUNNING]

    def _reap(self) -> None:
        for place in self._running():
            outcome = place.attempt.wait()
            if outcome is not None:
                place.seconds = time.monotonic() - place.began
                self._machine.take_back(place.lease)
                self._end(place, outcome)

    def _end(self, place: Place, outcome: Outcome) -> None:
        place.status, place.outcome, place.attempt, place.lease = outcome.status, outcome, None, None
        if outcome.status in (FAILED, REFUSED) and self._fail_fast and not self._stopping:
            self._told("SIGTERM", False)

    def _begin(self) -> None:
        for place in self._places:
            if self._stopping:
                if place.status in (WAITING, ELSEWHERE):
                    self._end(place, Outcome(EXIT_INTERRUPTED, INTERRUPTED))
                continue
            if place.status != WAITING:
                continue
            if self._n_jobs and len(self._running()) >= self._n_jobs:
                return
            lease = self._lend(place.experiment.config["hardware"])
            if lease is None:
                return
            self._begin_one(place, lease)

    def _begin_one(self, place: Place, lease: Lease) -> None:
        try:
            begun = self._begun(place, lease)
            if isinstance(begun, Attempt):
                place.began, place.lease, place.attempt = time.monotonic(), lease, begun
                place.status = RUNNING
                return
            self._end(place, begun)
        except LockedError:
            place.status = ELSEWHERE
        except ForeignCheckpointError as error:
            self._end(place, Outcome(EXIT_FAILED, FAILED, error=str(error)))
        except OSError as error:
            self._end(place, Outcome(EXIT_FAILED, FAILED, error=unwritten(error, place.run)))
        self._machine.take_back(lease)

    def _begun(self, place: Place, lease: Lease) -> Attempt | Outcome:
        """The cell's attempt, or what became of it already."""
        experiment = place.experiment
        claimed = claim(experiment)
        if claimed.done is not None:
            return Outcome.of_completed(place.run)
        try:
            manifest.note(place.run, "notes", inexact(experiment))
        except OSError as error:
            return not_begun(claimed, error)
        return begin(
            claimed, experiment.config, experiment.folder, start=self._start(experiment), devices=lease.variables
        )

    def _lend(self, hardware: dict[str, Any]) -> Lease | None:
        processes = hardware["num_processes"]
        if not hardware["use_cpu"]:
            return self._machine.lend_gpus(processes)
        share = self._machine.cores // (self._n_jobs or min(MOST_AT_ONCE, len(self._places)))
        cores = processes * hardware["threads"] if hardware["threads"] else share
        return self._machine.lend_cores(max(processes, cores), processes, counted=self._n_jobs is None)

    def _ask_elsewhere(self) -> None:
        """Look how cells do that others are at."""
        if time.monotonic() - self._asked_elsewhere < ELSEWHERE_SECONDS:
            return
        self._asked_elsewhere = time.monotonic()
        for place in self._places:
            if place.status == ELSEWHERE:
                recorded = manifest.read(place.run)
                if recorded is None or recorded.status not in (RUNNING, manifest.CREATED):
                    place.status = WAITING  # whatever became of it: to claim it says


def held_at_once(hardware: dict[str, Any]) -> int:
    """Cells with such devices that this machine runs side by side, where nothing says how many."""
    machine, processes = Machine(), hardware["num_processes"]
    if not hardware["use_cpu"]:
        return max(1, len(machine.gpus) // processes)
    return max(1, min(MOST_AT_ONCE, machine.cores // (processes * (hardware["threads"] or 1))))
