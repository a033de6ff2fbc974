"""Jobs of a sweep side by side on this machine, each with devices of its own."""

import time
from collections.abc import Callable, Sequence

from expctl.base.engine import server_devices
from expctl.base.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from expctl.base.experiment import Experiment, Hardware
from expctl.base.notice import notice
from expctl.base.refusal import Refusal
from expctl.config.experimental import experimental_notes
from expctl.config.resumable import inexact
from expctl.devices.leases import Lease, Machine
from expctl.launch.launch import Attempt, Outcome, begin, not_begun, unwritten
from expctl.launch.process import Signals, Start, Workers, pause
from expctl.runs import manifest
from expctl.runs.checkpoints import ForeignCheckpointError
from expctl.runs.claim import claim
from expctl.runs.lock import LockedError
from expctl.runs.manifest import CREATED, FAILED, INTERRUPTED, REFUSED, RUNNING
from expctl.sweep.job import Composed, Ended, HeldByAnother, RunningHere, SweepJob, Waiting
from expctl.sweep.memory import Memory

LOOK_SECONDS, ASK_AGAIN_SECONDS = 0.1, 2.0
# Jobs at once on the CPU where nothing says how many threads one needs.
MOST_AT_ONCE = 4


class Pool:
    """Begins jobs in their order as devices get free, and ends with all of them.

    The order is kept also where a later job would fit sooner: one that needs many devices is not passed over for ever.
    A job whose run another command has is left to it, and taken over should it be given up.
    """

    def __init__(
        self,
        jobs: Sequence[SweepJob],
        *,
        n_jobs: int | None,
        fail_fast: bool,
        cells_per_gpu: int = 1,
        start: Callable[[Experiment], Start] = lambda experiment: Workers,
        look: Callable[[], None] = lambda: None,
    ):
        """`start`: how the workers of an experiment are started; `look` is called again and again."""
        self._jobs = jobs
        self._machine = Machine()
        self._memory = Memory()
        self._n_jobs = n_jobs
        self._cells_per_gpu = cells_per_gpu
        self._fail_fast = fail_fast
        self._start = start
        self._look = look
        self._asked_about_held = 0.0
        self._stopping = False
        # Whether it was said that nothing can begin.
        self._waits = False

    def run(self) -> str | None:
        """Run all jobs to their ends; the signal that broke it off, if one did."""
        with Signals(self._stop) as signals:
            try:
                while not all(isinstance(job.state, Ended) for job in self._jobs):
                    self._reap()
                    self._ask_about_held()
                    self._begin()
                    self._look()
                    pause(LOOK_SECONDS)
            except BaseException:
                self._stop("SIGTERM", True)
                raise
            return signals.received

    def _stop(self, received: str, again: bool) -> None:
        """Begin nothing more, and have what runs save and stop; at once when told again."""
        self._stopping = True
        for state in self._running():
            state.attempt.stop(received, at_once=again)

    def _running(self) -> list[RunningHere]:
        return [job.state for job in self._jobs if isinstance(job.state, RunningHere)]

    def _reap(self) -> None:
        for job in self._jobs:
            if not isinstance(job.state, RunningHere):
                continue
            outcome = job.state.attempt.poll()
            if outcome is not None:
                self._machine.take_back(job.state.lease)
                self._end(job, outcome)

    def _end(self, job: SweepJob, outcome: Outcome) -> None:
        job.end(outcome)
        if outcome.status in (FAILED, REFUSED) and self._fail_fast and not self._stopping:
            self._stop("SIGTERM", False)

    def _begin(self) -> None:
        for job in self._jobs:
            if self._stopping:
                if isinstance(job.state, Waiting | HeldByAnother):
                    self._end(job, Outcome(EXIT_INTERRUPTED, INTERRUPTED))
                continue
            if not isinstance(job.state, Waiting):
                continue
            if self._n_jobs and len(self._running()) >= self._n_jobs:
                return
            lease = self._lend(job.state.experiment)
            if lease is None:
                self._note_wait(job.state.experiment.hardware)
                return
            self._begin_one(job, job.state, lease)

    def _note_wait(self, hardware: Hardware) -> None:
        """Say once that other commands have the devices: nothing of this sweep runs, and nothing else would be seen."""
        if self._running() or self._waits:
            return
        self._waits = True
        taken = f"{hardware['num_processes']} of the {len(self._machine.gpus)} GPUs are not free at once"
        notice(f"{taken}: other sweeps on this machine have leased them; the cells wait for them")

    def _begin_one(self, job: SweepJob, composed: Composed, lease: Lease) -> None:
        """Begin an attempt; the lease goes back where there is none."""
        experiment, run = composed.experiment, composed.run
        try:
            begun = self._attempt(composed, lease)
            if isinstance(begun, Attempt):
                job.begin(RunningHere(experiment, run, begun, lease))
                self._waits = False
                return
            self._end(job, begun)
        except LockedError:
            job.state = HeldByAnother(experiment, run)
        except (ForeignCheckpointError, Refusal) as error:
            self._end(job, Outcome(EXIT_FAILED, FAILED, error=str(error)))
        except OSError as error:
            self._end(job, Outcome(EXIT_FAILED, FAILED, error=unwritten(error, run)))
        self._machine.take_back(lease)

    def _attempt(self, composed: Composed, lease: Lease) -> Attempt | Outcome:
        """An attempt at the job's run, or what became of it already."""
        experiment = composed.experiment
        claimed = claim(experiment)
        if claimed.done is not None:
            return Outcome.of_completed(composed.run)
        try:
            manifest.note(composed.run, "notes", experimental_notes(experiment) + inexact(experiment))
        except OSError as error:
            return not_begun(claimed, error)
        start = self._start(experiment)
        return begin(claimed, experiment.config, experiment.folder, start=start, devices=lease.variables)

    def _lend(self, experiment: Experiment) -> Lease | None:
        hardware = experiment.hardware
        processes = hardware["num_processes"]
        if not hardware["use_cpu"]:
            return self._lend_gpus(experiment, processes + server_devices(experiment.config))
        share = self._machine.cores // (self._n_jobs or min(MOST_AT_ONCE, len(self._jobs)))
        cores = processes * hardware["threads"] if hardware["threads"] else share
        lease = self._machine.lend_cores(max(processes, cores), processes, counted=self._n_jobs is None)
        running = [state.experiment for state in self._running()]
        if lease is None or not running or self._memory.bears([*running, experiment]):
            return lease
        self._machine.take_back(lease)
        return None

    def _lend_gpus(self, experiment: Experiment, number: int) -> Lease | None:
        """Slots of GPUs where cells share them; a server of vLLM, and the training beside it, have whole ones."""
        of = 1 if server_devices(experiment.config) else self._cells_per_gpu
        slots = self._memory.slots(experiment, of) if of > 1 else 1
        return self._machine.lend_gpus(number, slots=slots, of=of)

    def _ask_about_held(self) -> None:
        """Look how the runs do that other commands have."""
        if time.monotonic() - self._asked_about_held < ASK_AGAIN_SECONDS:
            return
        self._asked_about_held = time.monotonic()
        for job in self._jobs:
            if isinstance(job.state, HeldByAnother):
                recorded = manifest.read(job.run)
                if recorded is None or recorded.status not in (RUNNING, CREATED):
                    # Whatever became of it: to claim it says.
                    job.state = Waiting(job.state.experiment, job.run)


def held_at_once(hardware: Hardware, cells_per_gpu: int) -> int:
    """Jobs with such devices that this machine runs side by side, where nothing says how many."""
    machine, processes = Machine(), int(hardware["num_processes"])
    if not hardware["use_cpu"]:
        return max(1, len(machine.gpus) // processes * cells_per_gpu)
    return max(1, min(MOST_AT_ONCE, machine.cores // (processes * (hardware["threads"] or 1))))
