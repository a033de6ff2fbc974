"""The launcher of `expctl -m`: cells side by side on this machine. Hydra finds launchers in this package only."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from expctl.sweep.cells import Composer


class PoolLauncher(Launcher):
    """Composes the cells and hands all of them, with its own settings, to the verb that was typed."""

    def __init__(self, **settings: Any):
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._composer = Composer(hydra_context.config_loader, config)
        self._sweep = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self._sweep(self._composer.cells(job_overrides), self._settings | {"finished": self._composer.finished})
