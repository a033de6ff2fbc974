"""The launchers of cells that run on other machines: thin, around those of submitit's and Ray's own plug-ins."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from expctl.sweep.cells import Composer


class SlurmLauncher(Launcher):
    """Composes and checks all cells; those that are not done become jobs of Slurm."""

    def __init__(self, **settings: Any):
        self._settings = {key: _plain(value) for key, value in settings.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._config = hydra_context, config
        self._composer = Composer(hydra_context.config_loader, config, elsewhere=True)
        self._sweep = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        settings = {"finished": self._composer.finished, "scheduler": self._scheduler()}
        return self._sweep(self._composer.cells(job_overrides), settings)

    def _scheduler(self) -> Any:
        from expctl.sweep.slurm import Slurm

        return Slurm(self._settings, self._context, self._config)


class RayLauncher(SlurmLauncher):
    """Composes and checks all cells; those that are not done become tasks of Ray."""

    def _scheduler(self) -> Any:
        from expctl.sweep.on_ray import Ray

        return Ray(self._settings["ray"], self._context, self._config)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
