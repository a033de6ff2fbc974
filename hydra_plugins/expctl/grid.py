"""The sweeper of `expctl -m`: all jobs of the grid at once, and nothing written before the launcher has looked."""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from expctl.sweep.launcher import CheckLauncher, SweepLauncher


class GridSweeper(BasicSweeper):
    """Hydra's own grid, without the folder that it makes and the composition of every job for a check of its own."""

    launcher: SweepLauncher | CheckLauncher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to a sweeper; `check -m` puts a launcher that only checks before the one that runs."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._loader = hydra_context.config_loader
        assert isinstance(self.launcher, SweepLauncher), "others are refused when the config is composed"
        if self.launcher.command.check:
            self.launcher = CheckLauncher(self.launcher)

    def sweep(self, arguments: list[str]) -> list[list[JobReturn]]:
        """Launch every combination of the values, in batches where `max_batch_size` says so."""
        from expctl.config.sweep_words import sweep_words

        parser = OverridesParser.create(config_loader=self._loader)
        overrides = parser.parse_overrides(sweep_words(self.params, arguments))
        results: list[list[JobReturn]] = []
        for batch in self.split_arguments(overrides, self.max_batch_size):
            # Hydra escapes a colon that nobody has to.
            batch = [[word.replace("model=run\\:", "model=run:") for word in job] for job in batch]
            results.append(self.launcher.launch(batch, initial_job_idx=sum(len(batch) for batch in results)))
        return results
