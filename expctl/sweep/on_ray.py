"""Jobs of a sweep as tasks of Ray."""

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from expctl.base.engine import has_own_node
from expctl.base.refusal import Refusal
from expctl.config.extras import missing
from expctl.sweep.job import SweepJob
from expctl.sweep.submission import Submission

# Ray kills the child processes of a task that ends, unless this variable is 0 before Ray starts. The worker of a run is
# such a child: it is told to stop when its parent is gone, and saves before it ends.
LEAVE_CHILDREN = "RAY_kill_child_processes_on_worker_exit"


class Ray:
    """Hands jobs over through the launcher of hydra-ray-launcher.

    `task`: from the folder of a submission to the function that each of its tasks is to call.

    Raises:
        Refusal: the package is missing, or a job needs several machines, which no task has.
    """

    def __init__(
        self, settings: dict[str, Any], task: Callable[[Path], TaskFunction], context: HydraContext, config: DictConfig
    ):
        if not find_spec("ray") or not find_spec("hydra_plugins.hydra_ray_launcher"):
            raise missing("ray", "hydra/launcher=ray")
        self._settings = settings["ray"]
        self._task = task
        self._context, self._config = context, config
        self._submission: Submission | None = None

    def queued_earlier(self, jobs: Sequence[SweepJob]) -> set[str]:
        """None: tasks end with the command that asked for them."""
        return set()

    def submit(self, jobs: Sequence[SweepJob]) -> None:
        """Hand jobs over, each with the devices that the largest of them needs."""
        from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher

        hardware = [job.to_run.experiment.hardware for job in jobs]
        if any(asked["num_machines"] > 1 for asked in hardware):
            raise Refusal(
                "a task of Ray has one machine, and a cell asks for several",
                where="hydra.launcher (hydra/launcher=ray), hardware.num_machines",
                do="hydra/launcher=slurm, or hardware.num_machines=1",
            )
        if any(has_own_node(job.to_run.experiment.config) for job in jobs):
            raise Refusal(
                "a task of Ray has one machine, and generation.own_node=true asks for one more",
                where="hydra.launcher (hydra/launcher=ray), generation.own_node",
                do="hydra/launcher=slurm, or generation.url=... of a server that runs",
            )
        processes = max(asked["num_processes"] for asked in hardware)
        gpus = max(0 if asked["use_cpu"] else asked["num_processes"] for asked in hardware)
        typed = {key: value for key, value in self._settings["remote"].items() if value is not None}
        remote = {"num_cpus": processes, "num_gpus": gpus} | typed
        launcher = RayLauncher(ray=OmegaConf.create({"init": self._settings["init"], "remote": remote}))
        os.environ.setdefault(LEAVE_CHILDREN, "0")
        self._submission = Submission(jobs, "ray")
        self._submission.start(launcher, self._task(self._submission.folder), self._context, self._config)

    def is_over(self, job: SweepJob) -> tuple[bool, str | None]:
        """Whether Ray has ended, and with it the job's task."""
        if self._submission is None:
            return True, None
        if self._submission.alive:
            return False, None
        last = self._submission.last_words()
        return True, f"Ray ended before this cell did ({last}); see {self._submission.log}"

    def cancel(self) -> set[str]:
        """Without the process that asked for them Ray ends its tasks, and their workers save."""
        self.close()
        return set()

    def close(self) -> None:
        """End the process that waits for the tasks."""
        if self._submission:
            self._submission.end()
