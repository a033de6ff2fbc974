"""Jobs that a scheduler runs on other machines: handed over, and watched through the files of their runs."""

from collections.abc import Callable, Sequence
from typing import Protocol

from expctl.base.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from expctl.base.paths import outputs_of
from expctl.base.refusal import Refusal
from expctl.launch.launch import Outcome
from expctl.launch.process import Signals, pause
from expctl.runs import manifest
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, RUNNING
from expctl.runs.records import Manifest
from expctl.sweep.job import Composed, Ended, HeldByAnother, Running, SweepJob, Waiting

LOOK_SECONDS = 1.0


class Scheduler(Protocol):
    """What runs jobs on other machines."""

    def queued_earlier(self, jobs: Sequence[SweepJob]) -> set[str]:
        """Ids of the runs that an earlier command handed over and that are still to run.

        From then on they are waited for as if they had been submitted.
        """

    def submit(self, jobs: Sequence[SweepJob]) -> None:
        """Hand jobs over."""

    def is_over(self, job: SweepJob) -> tuple[bool, str | None]:
        """Whether a job will not run (again), and why if that is a failure."""

    def cancel(self) -> set[str]:
        """Have all save and stop, but for the runs that are returned: another command waits for those."""

    def close(self) -> None:
        """Give up what is held to wait for jobs."""


class SchedulerPool:
    """Hands the jobs that are not completed to a scheduler and waits for all of them. Their manifests say how they do.

    An interrupted run is not the end of its job as long as the scheduler may put it back.
    """

    def __init__(self, jobs: Sequence[SweepJob], scheduler: Scheduler, look: Callable[[], None] = lambda: None):
        self._jobs = jobs
        self._scheduler = scheduler
        self._look = look
        # Run id -> when its attempts began that were there before.
        self._attempts_before: dict[str, list[str | None]] = {}
        # Ids of runs that an earlier command handed over, and of those that another command waits for.
        self._queued_earlier: set[str] = set()
        self._others: set[str] = set()
        self._signal: str | None = None

    def run(self) -> str | None:
        """Run all jobs to their ends; the signal that broke it off, if one did.

        Raises:
            Refusal: the scheduler does not take jobs, or what it needs to know of them cannot be written.
        """
        with Signals(self._stop) as signals:
            try:
                self._begin()
                while not all(isinstance(job.state, Ended) for job in self._jobs):
                    self._refresh()
                    self._look()
                    pause(LOOK_SECONDS)
            finally:
                self._scheduler.close()
            return signals.received

    def _stop(self, received: str, again: bool) -> None:
        self._signal = received
        if again:
            raise KeyboardInterrupt
        self._others = self._scheduler.cancel()

    def _begin(self) -> None:
        to_do = [job for job in self._jobs if self._is_to_do(job)]
        self._queued_earlier = self._scheduler.queued_earlier(to_do) if to_do else set()
        for job in to_do:
            if job.run.run_id in self._queued_earlier:
                job.state = Waiting(job.to_run.experiment, job.run)
        waiting = [job for job in to_do if isinstance(job.state, Waiting)]
        self._submit([job for job in waiting if job.run.run_id not in self._queued_earlier])

    def _submit(self, jobs: list[SweepJob]) -> None:
        if not jobs or self._signal:
            return
        # A job that stands twice in the grid is one run.
        jobs = list({job.run.run_id: job for job in jobs}.values())
        try:
            self._scheduler.submit(jobs)
        except OSError as error:
            raise Refusal(
                f"the cells cannot be handed over: {error.strerror or error}",
                where=str(error.filename or outputs_of(jobs[0].run.folder)),
                do="make it writable; the same command goes on, also with what was handed over already",
            ) from error
        if self._signal:  # while they were handed over
            self._others = self._scheduler.cancel()

    def _is_to_do(self, job: SweepJob) -> bool:
        if isinstance(job.state, Ended):
            return False
        recorded = manifest.read(job.run) or manifest.recorded(job.run)
        self._attempts_before[job.run.run_id] = _attempts(recorded)
        if recorded.status == COMPLETED and not job.forced:
            job.end(Outcome.of_completed(job.run))
            return False
        if recorded.status == RUNNING:
            job.state = HeldByAnother(job.to_run.experiment, job.run)
            self._attempts_before[job.run.run_id].pop()
        return True

    def _refresh(self) -> None:
        """Read how the jobs do; those of an earlier command that are over are handed over again."""
        given_up = []
        for job in self._jobs:
            if not isinstance(job.state, Composed):
                continue
            # In this order: what a job writes before it goes is seen.
            over, why = (True, None) if isinstance(job.state, HeldByAnother) else self._scheduler.is_over(job)
            recorded = manifest.read(job.run) or manifest.recorded(job.run)
            if self._took_its_end(job, recorded):
                continue
            if self._is_new(job, recorded) and recorded.status == RUNNING:
                if isinstance(job.state, Waiting):
                    job.begin(Running(job.state.experiment, job.run))
            elif not over:
                job.state = Waiting(job.state.experiment, job.run)
            elif why is None or self._signal:
                job.end(Outcome(EXIT_INTERRUPTED, INTERRUPTED))
            elif job.run.run_id in self._queued_earlier:
                given_up.append(job)
            else:
                job.end(Outcome(EXIT_FAILED, FAILED, error=why))
        # What became of an earlier command's jobs, a cancellation say, was not meant for this one's.
        self._queued_earlier -= {job.run.run_id for job in given_up}
        self._submit(given_up)

    def _took_its_end(self, job: SweepJob, recorded: Manifest) -> bool:
        """End a job whose manifest says so, or that others go on with after a signal; whether it has ended."""
        status = recorded.status if self._is_new(job, recorded) else None
        if status == COMPLETED:
            job.end(Outcome.of_completed(job.run))
        elif status == FAILED:
            job.end(Outcome(EXIT_FAILED, FAILED, error=recorded.error))
        elif self._signal and (isinstance(job.state, HeldByAnother) or job.run.run_id in self._others):
            job.end(Outcome(EXIT_INTERRUPTED, INTERRUPTED))
        return isinstance(job.state, Ended)

    def _is_new(self, job: SweepJob, recorded: Manifest) -> bool:
        """Whether a manifest is of an attempt that was not there before; a run that is forced begins to count anew."""
        before, now = self._attempts_before[job.run.run_id], _attempts(recorded)
        return now[: len(before)] != before or len(now) > len(before)


def _attempts(recorded: Manifest) -> list[str | None]:
    return [attempt.started for attempt in recorded.attempts]
