"""Jobs of a sweep as jobs of Slurm."""

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from expctl.base.engine import has_own_node, server_devices
from expctl.base.paths import outputs_of
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.config.extras import missing
from expctl.runs.lock import Lock, LockedError, is_held
from expctl.sweep.job import SweepJob
from expctl.sweep.submission import Submission, submitted_runs

ASK_SECONDS, SUBMIT_SECONDS = 3.0, 300.0
# The room of submissions below `outputs/sweeps/`, and what the command holds there that waits for the jobs of one.
FOLDER = "slurm"
WAITED_FOR = ".lock"


class Shape(NamedTuple):
    """What a job asks Slurm for: machines, processes on each, and GPUs of each."""

    machines: int
    processes: int
    gpus: int
    threads: int | None

    @classmethod
    def of(cls, job: SweepJob) -> "Shape":
        """The shape of a job that is to be run."""
        config, hardware = job.to_run.experiment.config, job.to_run.experiment.hardware
        machines, processes = hardware["num_machines"], hardware["num_processes"]
        gpus = 0 if hardware["use_cpu"] else processes
        if has_own_node(config):  # all nodes of a job are alike
            machines, gpus = machines + 1, 0 if hardware["use_cpu"] else max(processes, server_devices(config))
        return cls(machines, processes, gpus, hardware["threads"])


@dataclass(frozen=True)
class SlurmJob:
    """Slurm's own id of a job, and the folder of the submission that it belongs to."""

    name: str
    folder: Path


class Slurm:
    """Submits jobs through the launcher of hydra-submitit-launcher, one array for those of one shape.

    `task`: from the folder of a submission to the function that each of its jobs is to call.

    Raises:
        Refusal: the package or Slurm itself is missing, or there is no such partition.
    """

    def __init__(
        self, settings: dict[str, Any], task: Callable[[Path], TaskFunction], context: HydraContext, config: DictConfig
    ):
        self._settings = settings
        self._task = task
        self._context, self._config = context, config
        self._submissions: list[Submission] = []
        # Run id -> the job that it has in Slurm.
        self._jobs: dict[str, SlurmJob] = {}
        self._held: dict[Path, Lock] = {}
        self._asked = 0.0
        self._living: set[str] = set()
        self._check()

    def queued_earlier(self, jobs: Sequence[SweepJob]) -> set[str]:
        """Find the jobs that a command left in the queue when it was killed; ids of the runs that they are for."""
        wanted = {job.run.run_id for job in jobs}
        folder = outputs_of(jobs[0].run.folder) / "sweeps" / FOLDER
        left: dict[str, SlurmJob] = {}
        for submission, queued in _queued().items():
            runs, names = submitted_runs(folder / submission), _jobs_in(folder / submission)
            for run_id, name in zip(runs, names, strict=False):
                if run_id in wanted and name in queued:
                    left[run_id] = SlurmJob(name, folder / submission)
        for submitted_in in {job.folder for job in left.values()}:
            self._hold(submitted_in)
        self._jobs |= left
        if left:
            print(f"waiting    for {_named([job.name for job in left.values()])} of an earlier command", flush=True)
        return set(left)

    def submit(self, jobs: Sequence[SweepJob]) -> None:
        """Hand jobs over; returns when Slurm has taken all."""
        shapes: dict[Shape, list[SweepJob]] = {}
        for job in jobs:
            shapes.setdefault(Shape.of(job), []).append(job)
        for shape, alike in shapes.items():
            self._submit(alike, shape)

    def _submit(self, jobs: list[SweepJob], shape: Shape) -> None:
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

        submission = Submission(jobs, FOLDER)
        settings = self._settings_of(shape) | {"submitit_folder": str(submission.folder / "%j")}
        submission.start(SlurmLauncher(**settings), self._task(submission.folder), self._context, self._config)
        self._submissions.append(submission)
        self._hold(submission.folder)
        deadline = time.monotonic() + SUBMIT_SECONDS
        while len(names := _jobs_in(submission.folder)) < len(jobs):
            if not submission.alive or time.monotonic() > deadline:
                raise Refusal(
                    f"Slurm did not take the jobs: {_complaint(submission)}",
                    where="hydra.launcher (hydra/launcher=slurm)",
                    do=f"the whole answer stands in {submission.log}",
                )
            time.sleep(0.1)
        for job, name in zip(jobs, names, strict=True):
            self._jobs[job.run.run_id] = SlurmJob(name, submission.folder)
        self._asked = 0.0
        print(f"submitted  {_named(names)} to Slurm   files in {submission.folder}", flush=True)

    def _settings_of(self, shape: Shape) -> dict[str, Any]:
        """The launcher's settings; what they leave open is what the jobs' hardware says."""
        settings = self._settings | {"nodes": shape.machines, "tasks_per_node": shape.processes}
        if shape.gpus and not any(settings.get(key) for key in ("gpus_per_node", "gpus_per_task", "gres")):
            settings["gpus_per_node"] = shape.gpus
        if shape.threads and not settings.get("cpus_per_task"):
            settings["cpus_per_task"] = shape.threads
        return settings

    def is_over(self, job: SweepJob) -> tuple[bool, str | None]:
        """Whether the job has left the queue, and what that means where the run has not said anything."""
        if time.monotonic() - self._asked > ASK_SECONDS:
            self._asked = time.monotonic()
            answer = _ask("squeue", "--me", "--noheader", "--array", "--format=%i")
            if answer.returncode == 0:
                self._living = set(answer.stdout.split())
            else:  # a controller that does not answer has lost no job
                self._living |= {job.name for job in self._jobs.values()}
        submitted = self._jobs.get(job.run.run_id)
        if submitted is None:
            return True, None
        name, folder = submitted.name, submitted.folder
        if name in self._living:
            return False, None
        return True, f"Slurm's job {name} is gone, and the run has not ended; see {folder / name}"

    def cancel(self) -> set[str]:
        """Have running jobs save and stop, and take those that wait out of the queue."""
        others = {run_id for run_id, job in self._jobs.items() if self._is_anothers(job.folder)}
        mine = [job.name for run_id, job in self._jobs.items() if run_id not in others]
        if mine:
            _ask("scancel", "--quiet", *mine)
        return others

    def _hold(self, folder: Path) -> None:
        with contextlib.suppress(LockedError):
            self._held[folder] = Lock(folder / WAITED_FOR)

    def _is_anothers(self, folder: Path) -> bool:
        return folder not in self._held and is_held(folder / WAITED_FOR)

    def close(self) -> None:
        """End the submissions, and let other commands have their jobs."""
        for submission in self._submissions:
            submission.end()
        while self._held:
            self._held.popitem()[1].release()

    def _check(self) -> None:
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise missing("slurm", "hydra/launcher=slurm") from None
        if not shutil.which("sbatch") or not shutil.which("srun"):
            raise Refusal(
                "no Slurm here: sbatch is not on the path",
                where="hydra/launcher=slurm",
                do="type the command on a machine of the cluster, or leave hydra/launcher out to use this one",
            )
        if self._settings.get("partition"):
            _check_partitions(str(self._settings["partition"]))


def _check_partitions(partition: str) -> None:
    """Refuse what Slurm does not list; where it lists none, it does not answer here."""
    known = sorted(set(_ask("sinfo", "--noheader", "--format=%R").stdout.split()))
    unknown = [name for name in partition.split(",") if name not in known]
    if known and unknown:
        raise Refusal(
            f"Slurm has no partition '{unknown[0]}'; it has {', '.join(known)}",
            where=f"hydra.launcher.partition={partition}",
            nearest=nearest(unknown[0], known),
            do="sinfo shows what each of them is",
        )


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer within a minute")


def _queued() -> dict[str, set[str]]:
    """Name of the folder of a submission -> its jobs that wait or run. submitit writes the script of a job there."""
    answer = _ask("squeue", "--me", "--noheader", "--array", "--format=%i %o")
    if answer.returncode:
        raise Refusal(
            f"Slurm does not say which jobs are there: {answer.stderr.strip()}",
            where="squeue --me",
            do="type the command again when it answers: cells that are in the queue already are not submitted twice",
        )
    queued: dict[str, set[str]] = {}
    for line in answer.stdout.splitlines():
        job, _, script = line.strip().partition(" ")
        queued.setdefault(Path(script).parent.name, set()).add(job)
    return queued


def _jobs_in(folder: Path) -> list[str]:
    """Slurm's ids of the jobs of a submission, in their order: submitit keeps each job in a folder called after it."""
    names = {path.parent.name for path in folder.glob("*/*_submitted.pkl")}
    return sorted(names, key=lambda name: [int(part) for part in name.split("_")])


def _named(jobs: Sequence[str]) -> str:
    more = " ..." if len(jobs) > 4 else ""
    plural = "s" if len(jobs) > 1 else ""
    return f"{len(jobs)} job{plural} ({', '.join(jobs[:4])}{more})"


def _complaint(submission: Submission) -> str:
    errors = re.findall(r"(?:sbatch: )?error: (.+)", submission.log.read_text(errors="replace"))
    return "; ".join(dict.fromkeys(errors)) or submission.last_words()
