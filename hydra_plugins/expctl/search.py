"""The sweeper of `expctl -m sweep=optuna`. Hydra finds sweepers in this package only.

Ours instead of hydra-optuna-sweeper's, which needs Optuna below 3, counts n_trials anew in every command, leaves trials
that were under way for ever, and ends in an exception where none completed. The words for ranges are the same.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, read_write

from expctl.sweep.launcher import SweepLauncher

if TYPE_CHECKING:
    from expctl.search.plan import Plan
    from expctl.sweep.runners import Runner


class OptunaSweeper(Sweeper):
    """Reads the ranges and runs the search. Optuna is imported only then."""

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
        """Take what Hydra hands to a sweeper, and set up the launcher of the trials."""
        self._loader = hydra_context.config_loader
        # What is said to the sweeper is not said to a job, which has none.
        config = copy.deepcopy(config)
        with read_write(config.hydra):
            words = config.hydra.overrides.hydra
            config.hydra.overrides.hydra = [word for word in words if not word.startswith("hydra.sweeper.")]
        launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )
        assert isinstance(launcher, SweepLauncher), "others are refused when the config is composed"
        self._launcher = launcher

    def sweep(self, arguments: list[str]) -> None:
        """Search until so many trials have completed as the config asks for.

        Raises:
            expctl.base.refusal.Refusal: Optuna is not installed, or there is nothing to search.
        """
        from expctl.search.plan import check_trials, refuse_hopeless
        from expctl.search.searching import Searching
        from expctl.search.study import require_optuna

        require_optuna()
        command, runner = self._launcher.command, self._launcher.runner()
        plan = self._plan(arguments, runner)
        if command.check:
            command.end(check_trials(plan))
            return
        command.end(refuse_hopeless(plan))
        if command.code == 0:
            command.end(Searching(command, plan, runner).run())

    def _plan(self, arguments: list[str], runner: "Runner") -> "Plan":
        """The search that the config and the words describe."""
        from expctl.base.refusal import Refusal
        from expctl.config.sweep_words import sweep_words
        from expctl.search.plan import Plan
        from expctl.search.question import Question
        from expctl.search.space import split

        for key, value in (("n_trials", self._n_trials), ("max_batch_size", self._at_once)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise Refusal(f"'hydra.sweeper.{key}' is {value!r}; it must be a whole number above 0")
        parser = OverridesParser.create(config_loader=self._loader)
        fixed, space = split(parser.parse_overrides(sweep_words(self._params, arguments)))
        composer = self._launcher.composer
        question = Question.of(fixed, space, composer)
        at_once = self._at_once or runner.at_once(question.example.hardware)
        return Plan(question, composer, self._sampler, self._pruner, self._n_trials, at_once)
