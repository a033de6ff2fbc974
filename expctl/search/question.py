"""What a search is about, known before its first trial."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expctl.base.experiment import Experiment
from expctl.base.paths import outputs_root
from expctl.base.refusal import Refusal
from expctl.base.words import key_of
from expctl.runs.identity import config_hash
from expctl.search import space as spaces
from expctl.sweep.composer import Composer

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Question:
    """The overrides that all trials have, the space that is searched, and the objective with its direction.

    `name` is the same for the same question: another range, another choice, another line of the user's own code or of
    local data make it another, so that no study has values which cannot be compared. `example`: a trial, composed.
    """

    fixed: list[str]
    space: Mapping[str, "BaseDistribution"]
    objective: str
    direction: str
    name: str
    outputs: Path
    example: Experiment

    @classmethod
    def of(cls, fixed: list[str], space: Mapping[str, "BaseDistribution"], composer: Composer) -> "Question":
        """The question of some words; the experiment is composed with every single choice.

        Raises:
            Refusal: it does not compose, or the choices have objectives that cannot be compared.
        """
        example, *others = [
            composer.compose([*fixed, *(spaces.word(key, value) for key, value in values.items())])
            for values in _every_choice(space)
        ]
        objective, direction = _aim(example)
        aims = {(objective, direction), *map(_aim, others)}
        if len(aims) > 1:
            named = ", ".join(sorted(f"{direction} {objective}" for objective, direction in aims))
            raise Refusal(f"what is searched has no single objective: {named}", do="search within one algorithm")
        name = f"{example.label('algorithm')}-search-{_hash(example, space)[:8]}"
        return cls(fixed, space, objective, direction, name, outputs_root(example.folder), example)

    @property
    def force(self) -> bool:
        """Whether the search is to begin anew."""
        return self.example.forced


def _every_choice(space: Mapping[str, "BaseDistribution"]) -> list[dict[str, Any]]:
    """Values of all keys so that every single choice occurs: the first of each, then each other one beside those."""
    first = {key: _values(distribution)[0] for key, distribution in space.items()}
    sampled = [first]
    for key, distribution in space.items():
        sampled += [{**first, key: value} for value in _values(distribution)[1:]]
    return sampled


def _values(distribution: "BaseDistribution") -> list[Any]:
    """Every choice; of a range its lowest value, which stands for all of them."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, FloatDistribution | IntDistribution):
        return [distribution.low]
    assert isinstance(distribution, CategoricalDistribution), "there is no other"
    return list(distribution.choices)


def _aim(experiment: Experiment) -> tuple[str, str]:
    """The objective, and its direction."""
    algorithm = experiment.config["algorithm"]
    return algorithm["objective"], algorithm["direction"]


def _hash(example: Experiment, space: Mapping[str, "BaseDistribution"]) -> str:
    """Hex SHA-256 over what decides the values of trials: what decides the example's result, and the ranges."""
    ranges = sorted(f"{key_of(key)} {distribution!r}" for key, distribution in space.items())
    return hashlib.sha256("\0".join([config_hash(example), *ranges]).encode()).hexdigest()
