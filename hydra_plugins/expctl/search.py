"""The sweeper of `expctl -m sweep=optuna`. Hydra finds sweepers in this package only.

Ours instead of hydra-optuna-sweeper's, which needs Optuna below 3, counts n_trials anew in every command, leaves trials
that were under way for ever, and ends in an exception where none completed. The words for ranges are the same.
"""

import copy
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, read_write

from expctl.base.refusal import Refusal
from expctl.config.sweep_words import sweep_words
from expctl.sweep.cells import Composer
from hydra_plugins.expctl.pool import PoolLauncher


class OptunaSweeper(Sweeper):
    """Reads the ranges, and hands the search to the verb that was typed. Optuna is imported only then."""

    def __init__(
        self,
        *,
        params: Mapping[str, Any] | None,
        n_trials: int,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any] | None = None,
        max_batch_size: int | None = None,
    ):
        self._params = params
        self._n_trials = n_trials
        self._sampler, self._pruner = sampler, pruner
        self._at_once = max_batch_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._loader = hydra_context.config_loader
        # What is said to the sweeper is not said to a cell, which has none.
        self._config = config = copy.deepcopy(config)
        with read_write(config.hydra):
            words = config.hydra.overrides.hydra
            config.hydra.overrides.hydra = [word for word in words if not word.startswith("hydra.sweeper.")]
        self._verb = task_function
        self._launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Search until so many trials have completed as the config asks for.

        Raises:
            Refusal: Optuna is not installed, or there is nothing to search.
        """
        from expctl.cli.search_plan import Plan
        from expctl.search.question import Question
        from expctl.search.space import split
        from expctl.search.study import require_optuna

        require_optuna()
        for key, value in (("n_trials", self._n_trials), ("max_batch_size", self._at_once)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise Refusal(f"'hydra.sweeper.{key}' is {value!r}; it must be a whole number above 0")
        parser = OverridesParser.create(config_loader=self._loader)
        fixed, space = split(parser.parse_overrides(sweep_words(self._params, arguments)))
        composer = Composer(self._loader, self._config, elsewhere=self._elsewhere)
        question = Question.of(fixed, space, composer)
        at_once = self._at_once or self._held(question)
        plan = Plan(question, composer, self._sampler, self._pruner, self._n_trials, at_once)
        begun = [0]

        def launch(jobs: Any) -> Any:
            begun[0] += len(jobs)
            return self._launcher.launch(jobs, initial_job_idx=begun[0] - len(jobs))

        self._verb.search(plan, launch)

    @property
    def _elsewhere(self) -> bool:
        return not isinstance(self._launcher, PoolLauncher)

    def _held(self, question: Any) -> int:
        """Trials side by side where nothing says how many: on a cluster so few that each batch learns from the last."""
        from expctl.sweep.pool import MOST_AT_ONCE, held_at_once

        if self._elsewhere:
            return MOST_AT_ONCE
        return self._config.hydra.launcher.n_jobs or held_at_once(question.example.config["hardware"])
