"""What runs the jobs of a sweep: this machine, or a scheduler."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

from expctl.base.experiment import Experiment, Hardware
from expctl.base.refusal import Refusal
from expctl.launch.preloaded import WORTH_IT, preloader
from expctl.launch.process import Signals, Start
from expctl.sweep.job import SweepJob, Waiting
from expctl.sweep.pool import MOST_AT_ONCE, Pool, held_at_once
from expctl.sweep.scheduler_pool import Scheduler, SchedulerPool

Look = Callable[[], None]


class Runner(ABC):
    """Runs jobs to their ends, batch after batch. While it is entered, a signal between two batches is heard too."""

    # Whether a job that fails keeps those after it from beginning.
    fail_fast = False

    def __init__(self) -> None:
        self._signals = Signals(lambda received, again: None)
        self._broken_off = False
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._signals.__exit__()
        self.close()

    @property
    def interrupted(self) -> bool:
        """Whether a signal was heard: nothing more is to be begun."""
        return self._broken_off or self._signals.received is not None

    def run(self, jobs: Sequence[SweepJob], look: Look, *, to_come: int = 0) -> None:
        """Run a batch of jobs to their ends. `look` is called meanwhile; `to_come`: jobs in this and later ones."""
        self._broken_off |= self._run(jobs, look, to_come) is not None

    @abstractmethod
    def _run(self, jobs: Sequence[SweepJob], look: Look, to_come: int) -> str | None:
        """The signal that broke it off, if one did."""

    @abstractmethod
    def at_once(self, hardware: Hardware) -> int:
        """Jobs with such devices to run side by side, where the sweep does not say how many."""

    def close(self) -> None:
        """No more batches: let go of what was held for them."""
        self._held.close()


class LocalRunner(Runner):
    """Runs jobs on this machine.

    Args:
        n_jobs: jobs at once; None for as many as the devices hold.
        cells_per_gpu: jobs that may share a GPU, where its memory bears so many.
        fail_fast: whether a job that fails keeps those after it from beginning.
        preload: whether workers are forked; None where that pays.

    Raises:
        Refusal: a number that is none, or below 1.
    """

    def __init__(self, *, n_jobs: int | None, cells_per_gpu: int, fail_fast: bool, preload: bool | None):
        super().__init__()
        self.fail_fast = fail_fast
        _at_least_one("n_jobs", 1 if n_jobs is None else n_jobs)
        _at_least_one("cells_per_gpu", cells_per_gpu)
        self._n_jobs, self._cells_per_gpu = n_jobs, cells_per_gpu
        self._preload = preload
        self._start: Callable[[Experiment], Start] | None = None

    def _run(self, jobs: Sequence[SweepJob], look: Look, to_come: int) -> str | None:
        start = self._start_of(jobs, to_come)
        return Pool(
            jobs,
            n_jobs=self._n_jobs,
            cells_per_gpu=self._cells_per_gpu,
            fail_fast=self.fail_fast,
            start=start,
            look=look,
        ).run()

    def _start_of(self, jobs: Sequence[SweepJob], to_come: int) -> Callable[[Experiment], Start]:
        """How workers are started: for all batches by the one process that is forked from, if any."""
        if self._start is not None:
            return self._start
        waiting = [job.state for job in jobs if isinstance(job.state, Waiting)]
        wanted = True if self._preload is None and to_come >= WORTH_IT else self._preload
        start = self._held.enter_context(preloader([(state.run, state.experiment) for state in waiting], wanted))
        if waiting:
            self._start = start
        return start

    def at_once(self, hardware: Hardware) -> int:
        return self._n_jobs or held_at_once(hardware, self._cells_per_gpu)


def _at_least_one(key: str, value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return
    where = f"hydra.launcher.{key}={value} (command line)"
    raise Refusal(f"'hydra.launcher.{key}' is a whole number of cells, 1 or more", where=where, do=f"{key}=1")


class SchedulerRunner(Runner):
    """Hands jobs to a scheduler, a new one for each batch.

    Raises:
        Refusal: `make` finds that there is none, or that it is not what the settings say.
    """

    def __init__(self, make: Callable[[], Scheduler]):
        super().__init__()
        self._make = make
        self._next: Scheduler | None = make()

    def _run(self, jobs: Sequence[SweepJob], look: Look, to_come: int) -> str | None:
        scheduler = self._next or self._make()
        self._next = None
        return SchedulerPool(jobs, scheduler, look).run()

    def at_once(self, hardware: Hardware) -> int:
        """So few that each batch learns from the last."""
        return MOST_AT_ONCE
