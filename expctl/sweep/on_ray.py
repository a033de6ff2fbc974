"""Cells as tasks of Ray."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from expctl.base.refusal import Refusal
from expctl.config.extras import missing
from expctl.sweep.pool import Place
from expctl.sweep.scheduler_pool import Submission


class Ray:
    """Hands cells over through the launcher of hydra-ray-launcher.

    Raises:
        Refusal: the package is missing, or a cell needs several machines, which no task has.
    """

    def __init__(self, settings: dict[str, Any], context: Any, config: Any):
        if not find_spec("ray") or not find_spec("hydra_plugins.hydra_ray_launcher"):
            raise missing("ray", "hydra/launcher=ray")
        self._settings = settings
        self._context, self._config = context, config
        self._handover: Submission | None = None

    def left(self, places: Sequence[Place]) -> set[str]:
        """None: tasks end with the command that asked for them."""
        return set()

    def submit(self, places: Sequence[Place]) -> None:
        from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher
        from omegaconf import OmegaConf

        shapes = [place.experiment.config["hardware"] for place in places]
        if any(hardware["num_machines"] > 1 for hardware in shapes):
            raise Refusal(
                "a task of Ray has one machine, and a cell asks for several",
                where="hydra.launcher (hydra/launcher=ray), hardware.num_machines",
                do="hydra/launcher=slurm, or hardware.num_machines=1",
            )
        processes = max(hardware["num_processes"] for hardware in shapes)
        gpus = max(0 if hardware["use_cpu"] else hardware["num_processes"] for hardware in shapes)
        remote = {"num_cpus": processes, "num_gpus": gpus}
        given = {key: value for key, value in self._settings["remote"].items() if value is not None}
        ray = {"init": self._settings["init"], "remote": remote | given}
        self._handover = Submission(places, "ray")
        self._handover.start(RayLauncher(ray=OmegaConf.create(ray)), self._context, self._config)

    def gone(self, place: Place) -> tuple[bool, str | None]:
        if self._handover is None:
            return True, None
        if self._handover.alive:
            return False, None
        return True, f"Ray ended before this cell did ({self._handover.last_words()}); see {self._handover.log}"

    def cancel(self) -> set[str]:
        """Without the process that asked for them Ray ends its tasks, and their workers save."""
        if self._handover:
            self._handover.end()
        return set()

    def close(self) -> None:
        self.cancel()
