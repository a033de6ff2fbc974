"""Cells as jobs of Slurm."""

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from expctl.config.extras import missing
from expctl.config.refusal import Refusal
from expctl.config.suggest import nearest
from expctl.launch.elsewhere import Handover
from expctl.launch.pool import Place

ASK_SECONDS, SUBMIT_SECONDS = 3.0, 300.0


class Slurm:
    """Submits cells through the launcher of hydra-submitit-launcher, one array for those of one shape.

    Raises:
        Refusal: the package or Slurm itself is missing, or there is no such partition.
    """

    def __init__(self, settings: dict[str, Any], context: Any, config: Any):
        self._settings = settings
        self._context, self._config = context, config
        self._handovers: list[Handover] = []
        self._jobs: dict[str, str] = {}
        self._asked, self._living = 0.0, set()
        self._check()

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

        handover = Handover(places, "slurm")
        settings = self._settings | {"nodes": machines, "tasks_per_node": processes}
        settings["submitit_folder"] = str(handover.folder / "%j")
        if not on_cpu and not any(settings.get(key) for key in ("gpus_per_node", "gpus_per_task", "gres")):
            settings["gpus_per_node"] = processes
        if threads and not settings.get("cpus_per_task"):
            settings["cpus_per_task"] = threads
        handover.start(SlurmLauncher(**settings), self._context, self._config)
        self._handovers.append(handover)
        deadline = time.monotonic() + SUBMIT_SECONDS
        while len(jobs := _jobs_of(handover)) < len(places):
            if not handover.alive or time.monotonic() > deadline:
                raise Refusal(
                    f"Slurm did not take the jobs: {_complaint(handover)}",
                    where="hydra.launcher (hydra/launcher=slurm)",
                    do=f"the whole answer stands in {handover.log}",
                )
            time.sleep(0.1)
        for place, job in zip(places, jobs, strict=True):
            self._jobs[place.run.run_id] = job
        print(f"submitted  {len(jobs)} job{'s' if len(jobs) > 1 else ''} to Slurm: {', '.join(jobs[:4])}"
              f"{' ...' if len(jobs) > 4 else ''}   files in {handover.folder}", flush=True)  # fmt: skip

    def gone(self, place: Place) -> tuple[bool, str | None]:
        """Whether the cell's job has left the queue, and what that means where the run has not said anything."""
        if time.monotonic() - self._asked > ASK_SECONDS:
            self._asked = time.monotonic()
            answer = _ask("squeue", "--me", "--noheader", "--array", "--format=%i")
            if answer.returncode == 0:
                self._living = set(answer.stdout.split())
            else:  # a controller that does not answer has lost no job
                self._living |= set(self._jobs.values())
        job = self._jobs[place.run.run_id]
        if job in self._living:
            return False, None
        folder = next(handover.folder for handover in self._handovers if place in handover.places)
        return True, f"Slurm's job {job} ended without a word of the run; see {folder / job}"

    def cancel(self) -> None:
        """Have running cells save and stop, and take those that wait out of the queue."""
        _ask("scancel", "--quiet", *self._jobs.values())

    def close(self) -> None:
        for handover in self._handovers:
            handover.end()

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


def _jobs_of(handover: Handover) -> list[str]:
    """Ids of the jobs in the order of the cells: submitit keeps each one's cell in a folder called after it."""
    found = [path.parent.name for path in handover.folder.glob("*/*_submitted.pkl")]
    return sorted(set(found), key=lambda job: [int(part) for part in job.split("_")])


def _complaint(handover: Handover) -> str:
    said = re.findall(r"(?:sbatch: )?error: (.+)", handover.log.read_text(errors="replace"))
    return "; ".join(dict.fromkeys(said)) or handover.last_words()
