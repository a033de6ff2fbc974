"""An experiment as the rules of the algorithms ask for it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from expctl.algorithms import limits
from expctl.base.experiment import Experiment
from expctl.base.modules import is_known
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.checks.callables import defined_by
from expctl.config.source.defaults import FieldValues
from expctl.config.source.lookup import Definition

# Where a setting stands that is no field of `args`.
TRAINER_KEYWORDS = ("group_filter_func", "token_advantages")


@dataclass(frozen=True)
class TrainerSettings:
    """What the trainer of an experiment is made of, and its arguments with their defaults."""

    experiment: Experiment

    @property
    def trainer(self) -> dict[str, Any]:
        """The node `algorithm.trainer`."""
        return mapping(self.experiment.config["algorithm"]["trainer"])

    @cached_property
    def args(self) -> FieldValues:
        """The node `args`, with the defaults of its config class."""
        return FieldValues(self.experiment.config["args"], self.experiment.code_folders)

    @cached_property
    def parts(self) -> set[str]:
        """Dotted paths of the trainer's class and of all it derives from."""
        return lineage(defined_by(self.trainer, self.experiment))

    @property
    def is_ours(self) -> bool:
        """Whether all of the trainer is known; a user's own may read any field."""
        return is_known(str(self.trainer.get("_target_")))

    @property
    def evaluates(self) -> bool:
        """Whether there are evaluations during the training."""
        return self.args["eval_strategy"] not in (None, "no", False)

    def where(self, *keys: str) -> str:
        """What set these keys, for the `where` of a refusal."""
        return self.experiment.set_by(*keys)

    def is_typed(self, key: str) -> bool:
        """Whether a word on the command line set the key."""
        return key in self.experiment.sources

    def refusals_of(self, rule: Callable[[], object], key_of: Callable[[str], str] | None = None) -> list[Refusal]:
        """What a rule of the algorithms refuses; `key_of` gives the dotted key of a setting that it names."""
        try:
            rule()
        except limits.Excluded as error:
            keys = map(key_of or _key_of, error.settings)
            do = error.do[:1].lower() + error.do[1:]
            return [Refusal(error.what, where=self.where(*keys), nearest=error.nearest, do=do)]
        return []


def lineage(definition: Definition | None) -> set[str]:
    """Dotted paths of a class and of those it derives from; of a function its own."""
    return {ancestor.path for ancestor in definition.lineage} if definition else set()


def _key_of(setting: str) -> str:
    if setting in limits.QUARTILES:
        return f"algorithm.trainer.group_filter_func.{setting}"
    return f"algorithm.trainer.{setting}" if setting in TRAINER_KEYWORDS else f"args.{setting}"
