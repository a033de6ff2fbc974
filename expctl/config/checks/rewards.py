"""Rewards: the packages that not everybody installs."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.extras import missing

# Module of the reward -> the package that it needs, and the extra that brings it.
PACKAGES = {
    "expctl.rewards.expressions": ("math_verify", "math"),
    "expctl.rewards.reasoning_gym": ("reasoning_gym", "reasoning_gym"),
}


def check_rewards(experiment: Experiment) -> list[Refusal]:
    """Refuse a reward whose package is not there: the worker would only find out once the model is loaded."""
    for key, target in _targets(experiment.config["reward"]["functions"] or {}, "reward.functions"):
        package, extra = PACKAGES.get(target.rpartition(".")[0], (None, None))
        if package is not None and find_spec(package) is None:
            return [missing(extra, f"{key}={target}")]
    return []


def _targets(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Key and value of each `_target_` in a node; a reward may hold another, as `accuracy_within` does."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get("_target_"), str):
        yield f"{key}._target_", node["_target_"]
    for name, inner in node.items():
        yield from _targets(inner, f"{key}.{name}")
