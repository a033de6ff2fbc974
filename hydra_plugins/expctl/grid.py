"""The sweeper of `expctl -m`: all cells of the grid at once, and nothing written before the launcher has looked."""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from expctl.config.sweep_words import sweep_words


class GridSweeper(BasicSweeper):
    """Hydra's own grid, without the folder that it makes and the composition of every cell for a check of its own."""

    def sweep(self, arguments: list[str]) -> Any:
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(sweep_words(self.params, arguments))
        results = []
        for batch in self.split_arguments(overrides, self.max_batch_size):
            results.append(self.launcher.launch(batch, initial_job_idx=sum(map(len, results))))
        return results
