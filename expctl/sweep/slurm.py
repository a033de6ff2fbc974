"""Cells as jobs of Slurm."""

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base.paths import outputs_of
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.config.extras import missing
from expctl.runs.lock import Lock, LockedError, is_held
from expctl.sweep.pool import Place
from expctl.sweep.scheduler_pool import Submission, handed_over

ASK_SECONDS, SUBMIT_SECONDS = 3.0, 300.0
# The room of submissions below `outputs/sweeps/`, and what the command holds there that waits for the jobs of one.
FOLDER = "slurm"
WAITED_FOR = ".lock"


@dataclass(frozen=True)
class Job:
    """A job of a cell, and the folder of the submission that it belongs to."""

    name: str
    folder: Path


class Slurm:
    """Submits cells through the launcher of hydra-submitit-launcher, one array for those of one shape.

    Raises:
        Refusal: the package or Slurm itself is missing, or there is no such partition.
    """

    def __init__(self, settings: dict[str, Any], context: Any, config: Any):
        self._settings = settings
        self._context, self._config = context, config
        self._handovers: list[Submission] = []
        self._jobs: dict[str, Job] = {}
        self._held: dict[Path, Lock] = {}
        self._asked, self._living = 0.0, set()
        self._check()

    def left(self, places: Sequence[Place]) -> set[str]:
        """Find the jobs that a command left in the queue when it was killed; ids of the runs that they are for."""
        wanted = {place.run.run_id for place in places}
        folder = outputs_of(places[0].run.folder) / "sweeps" / FOLDER
        found: dict[str, Job] = {}
        for name, jobs in _queued().items():
            for run_id, job in zip(handed_over(folder / name), _jobs_in(folder / name), strict=False):
                if run_id in wanted and job in jobs:
                    found[run_id] = Job(job, folder / name)
        for one in {job.folder for job in found.values()}:
            self._hold(one)
        self._jobs |= found
        if found:
            print(f"waiting    for {_named([job.name for job in found.values()])} of an earlier command", flush=True)
        return set(found)

    def submit(self, places: Sequence[Place]) -> None:
        """Hand the cells over; returns when Slurm has taken all."""
        shapes: dict[tuple, list[Place]] = {}
        for place in places:
            hardware = place.experiment.config["hardware"]
            shape = (hardware["num_machines"], hardware["num_processes"], hardware["use_cpu"], hardware["threads"])
            shapes.setdefault(shape, []).append(place)
        for shape, those in shapes.items():
            self._submit(those, *shape)

    def _submit(self, places: list[Place], machines: int, processes: int, on_cpu: bool, threads: int | None) -> None:
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

        handover = Submission(places, FOLDER)
        settings = self._settings | {"nodes": machines, "tasks_per_node": processes}
        settings["submitit_folder"] = str(handover.folder / "%j")
        if not on_cpu and not any(settings.get(key) for key in ("gpus_per_node", "gpus_per_task", "gres")):
            settings["gpus_per_node"] = processes
        if threads and not settings.get("cpus_per_task"):
            settings["cpus_per_task"] = threads
        handover.start(SlurmLauncher(**settings), self._context, self._config)
        self._handovers.append(handover)
        self._hold(handover.folder)
        deadline = time.monotonic() + SUBMIT_SECONDS
        while len(jobs := _jobs_in(handover.folder)) < len(places):
            if not handover.alive or time.monotonic() > deadline:
                raise Refusal(
                    f"Slurm did not take the jobs: {_complaint(handover)}",
                    where="hydra.launcher (hydra/launcher=slurm)",
                    do=f"the whole answer stands in {handover.log}",
                )
            time.sleep(0.1)
        for place, job in zip(places, jobs, strict=True):
            self._jobs[place.run.run_id] = Job(job, handover.folder)
        self._asked = 0.0
        print(f"submitted  {_named(jobs)} to Slurm   files in {handover.folder}", flush=True)

    def gone(self, place: Place) -> tuple[bool, str | None]:
        """Whether the cell's job has left the queue, and what that means where the run has not said anything."""
        if time.monotonic() - self._asked > ASK_SECONDS:
            self._asked = time.monotonic()
            answer = _ask("squeue", "--me", "--noheader", "--array", "--format=%i")
            if answer.returncode == 0:
                self._living = set(answer.stdout.split())
            else:  # a controller that does not answer has lost no job
                self._living |= {job.name for job in self._jobs.values()}
        job = self._jobs.get(place.run.run_id)
        if job is None:
            return True, None
        if job.name in self._living:
            return False, None
        return True, f"Slurm's job {job.name} is gone, and the run has not ended; see {job.folder / job.name}"

    def cancel(self) -> set[str]:
        """Have running cells save and stop, and take those that wait out of the queue."""
        others = {run_id for run_id, job in self._jobs.items() if self._is_anothers(job.folder)}
        if mine := [job.name for run_id, job in self._jobs.items() if run_id not in others]:
            _ask("scancel", "--quiet", *mine)
        return others

    def _hold(self, folder: Path) -> None:
        with contextlib.suppress(LockedError):
            self._held[folder] = Lock(folder / WAITED_FOR)

    def _is_anothers(self, folder: Path) -> bool:
        return folder not in self._held and is_held(folder / WAITED_FOR)

    def close(self) -> None:
        for handover in self._handovers:
            handover.end()
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
        partition = self._settings.get("partition")
        known = sorted(set(_ask("sinfo", "--noheader", "--format=%R").stdout.split()))
        for name in str(partition).split(",") if partition and known else []:
            if name not in known:
                raise Refusal(
                    f"Slurm has no partition '{name}'; it has {', '.join(known)}",
                    where=f"hydra.launcher.partition={partition}",
                    nearest=nearest(name, known),
                    do="sinfo shows what each of them is",
                )


def _ask(*command: str) -> subprocess.CompletedProcess:
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
    found: dict[str, set[str]] = {}
    for line in answer.stdout.splitlines():
        job, _, script = line.strip().partition(" ")
        found.setdefault(Path(script).parent.name, set()).add(job)
    return found


def _jobs_in(folder: Path) -> list[str]:
    """Ids of the jobs of a submission in the order of the cells: submitit keeps each one's cell in a folder called
    after it."""
    found = {path.parent.name for path in folder.glob("*/*_submitted.pkl")}
    return sorted(found, key=lambda job: [int(part) for part in job.split("_")])


def _named(jobs: Sequence[str]) -> str:
    some = f"{', '.join(jobs[:4])}{' ...' if len(jobs) > 4 else ''}"
    return f"{len(jobs)} job{'s' if len(jobs) > 1 else ''} ({some})"


def _complaint(handover: Submission) -> str:
    said = re.findall(r"(?:sbatch: )?error: (.+)", handover.log.read_text(errors="replace"))
    return "; ".join(dict.fromkeys(said)) or handover.last_words()
