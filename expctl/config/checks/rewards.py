"""The reward functions: that there are some, and the packages that not everybody installs."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.checks.trainer_parts import is_rewarded
from expctl.config.extras import missing

# Reward, or its module -> the package that it needs, and the extra that brings it.
PACKAGES = {
    "expctl.rewards.expressions": ("math_verify", "math"),
    "expctl.rewards.form.JsonSchema": ("jsonschema", "schema"),
    "expctl.rewards.reasoning_gym": ("reasoning_gym", "reasoning_gym"),
}
# What is typed for no functions.
NONE = ("null", "{}", "[]", "None")


def check_rewards(experiment: Experiment) -> list[Refusal]:
    """Refuse prompts without a reward, and a reward whose package is not there: a worker would find out late."""
    functions = experiment.config["reward"]["functions"]
    typed = experiment.sources.get("reward.functions", "")
    if typed.removesuffix(" (command line)").partition("=")[2] in NONE:
        return [
            Refusal(
                "'reward.functions' takes no function away: where it is empty, the dataset's own are used",
                where=typed,
                do=f"leave it out; '~reward.functions.{next(iter(functions), 'accuracy')}' takes one away, "
                "reward=... chooses others",
            )
        ]
    if is_rewarded(experiment) and not functions:
        return [
            Refusal(
                "the algorithm learns from rewards and there is none",
                where=experiment.set_by("reward"),
                do="expctl list reward; or yours: reward.functions.mine._target_=my_module.my_reward "
                "reward.functions.mine._partial_=true",
            )
        ]
    for key, target in _targets(functions or {}, "reward.functions"):
        needed = next((name for name in (target, target.rpartition(".")[0]) if name in PACKAGES), None)
        if needed is None:
            continue
        package, extra = PACKAGES[needed]
        if find_spec(package) is None:
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
