"""The files that `expctl new algorithm` writes: a trainer, its option, its checks, and a test that runs these."""

import json
from pathlib import Path
from string import Template

from expctl.config.algorithm_facts import Facts
from expctl.config.source.lookup import ClassDefinition, find

TRAINER = Template('''"""$title: what it does and where it is from (paper, equation), in a few sentences."""

from typing import Any

from $parent_module import $Parent


class $Name($Parent):
    """`$Parent` $whose.

    Args:
        scale: factor of $what; 1 is the parent, to the last bit.
    """

    def __init__(self, *positional: Any, scale: float = 1.0, **keywords: Any):
        super().__init__(*positional, **keywords)
        self.scale = scale

$hook''')
# Of a trainer that samples: the batch is what a method changes as a rule.
ROLLOUT = """    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.scale != 1 and self.model.training:
            batch["advantages"] = batch["advantages"] * self.scale
        return batch
"""
LOSS = """    def compute_loss(self, model: Any, inputs: Any, *positional: Any, **keywords: Any) -> Any:
        loss = super().compute_loss(model, inputs, *positional, **keywords)
        is_of_evaluation = isinstance(loss, tuple)
        return loss if self.scale == 1 or is_of_evaluation else loss * self.scale
"""
OPTION = Template("""# @package _global_
# $title: what it does, in one sentence.
defaults:
  - $parent
  - _self_

algorithm:
  trainer:
    _target_: $name.$Name

    # Factor of $what. 1 is $parent.
    scale: 2.0
""")
CHECKS = Template('''"""Checks of `$name`, which `expctl verify $name` runs on the installed versions."""

from typing import Any

$imports

from expctl.verify.check import check
from expctl.verify.properties import differs, equals, resumes, two_ranks
from expctl.verify.setup import $helpers
from $name import $Name


def make(scale: float = 2.0, **settings: Any) -> $Name:
    """The method on the embedded model and data; settings are fields of its arguments."""
    return $make


def parent() -> $Parent:
    """What it is with a neutral setting."""
    return $make_parent


neutral = equals(lambda: make(scale=1), parent)
acts = differs(make, parent)
resumed = resumes(make$in_a_rollout)
ranks = two_ranks(make$rows)


@check("scaled", at_most=1e-6)
def $measured
''')
SCALED_ADVANTAGES = '''advantages_are_scaled() -> float:
    """at the same weights the advantages are the parent's times the factor"""
    advantages = [sample(make(scale=scale))["advantages"] for scale in (1, 3)]
    return difference([advantages[0] * 3], [advantages[1]])'''
SCALED_LOSS = '''loss_is_scaled() -> float:
    """at the same weights the loss is the parent's times the factor"""
    losses = []
    for scale in (1, 3):
        trainer = make(scale=scale)
        batch = next(iter(trainer.get_train_dataloader()))
        losses.append(trainer.compute_loss(trainer.model, batch).detach())
    return difference([losses[0] * 3], [losses[1]])'''
TEST = Template('''"""The checks of `$name` hold. From the folder above: python -m pytest tests"""

import ${name}_checks
import pytest

from expctl.verify.check import Check, run_check

CHECKS = [value for value in vars(${name}_checks).values() if isinstance(value, Check)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_check(check):
    result = run_check("$name", check)
    assert result.passed, result
''')


_OF_ROLLOUTS = {
    "whose": "whose advantages are scaled",
    "what": "every advantage",
    "hook": ROLLOUT,
    "helpers": "SAVED_IN_A_ROLLOUT, G, difference, grpo, sample",
    "in_a_rollout": ", **SAVED_IN_A_ROLLOUT",
    "rows": ", per_device_train_batch_size=3 * G",
    "measured": SCALED_ADVANTAGES,
}
_OF_LOSSES = {
    "whose": "whose loss is scaled",
    "what": "the loss",
    "hook": LOSS,
    "helpers": "build, difference",
    "in_a_rollout": "",
    "rows": "",
    "measured": SCALED_LOSS,
}


def skeleton(name: str, parent: Facts) -> dict[str, str]:
    """Path in the working folder -> content.

    Args:
        name: of the algorithm; a Python name.
        parent: the facts of the option that it builds on.
    """
    samples = _samples(parent["trainer"])
    words = _names(name, parent) | (_OF_ROLLOUTS if samples else _OF_LOSSES)
    given = {name: json.dumps(value) for name, value in parent["keywords"].items()}
    words["make"] = _made(words["Name"], words["Config"], parent["data"], samples, given | {"scale": "scale"})
    words["make_parent"] = _made(words["Parent"], words["Config"], parent["data"], samples, given, "")
    return {
        f"{name}.py": TRAINER.substitute(words),
        str(Path("conf", "algorithm", f"{name}.yaml")): OPTION.substitute(words),
        f"{name}_checks.py": CHECKS.substitute(words),
        str(Path("tests", f"test_{name}.py")): TEST.substitute(words),
    }


def _samples(trainer: str) -> bool:
    """Whether a trainer samples completions as `GRPOTrainer` does."""
    definition = find(trainer)
    lineage = definition.lineage if isinstance(definition, ClassDefinition) else ()
    return any("_generate_and_score_completions" in ancestor.members.bound for ancestor in lineage)


def _names(name: str, parent: Facts) -> dict[str, str]:
    parent_module, _, parent_class = parent["trainer"].rpartition(".")
    config_module, _, config_class = parent["config"].rpartition(".")
    imported: dict[str, set[str]] = {}
    for module, imported_class in ((parent_module, parent_class), (config_module, config_class)):
        imported.setdefault(module, set()).add(imported_class)
    lines = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(imported.items())]
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "Name": "".join(map(str.capitalize, name.split("_"))),
        "parent": parent["algorithm"],
        "parent_module": parent_module,
        "Parent": parent_class,
        "imports": "\n".join(lines),
        "Config": config_class,
    }


def _made(
    trainer: str, config: str, kind: str, samples: bool, keywords: dict[str, str], settings: str = "settings"
) -> str:
    """The source that builds a trainer.

    Args:
        trainer, config: the classes.
        kind: of the data.
        samples: whether it samples completions.
        keywords: of the trainer, as source.
        settings: the name of the mapping of further arguments; empty for none.
    """
    if samples:
        given = "".join(f'"{name}": {value}, ' for name, value in keywords.items()).removesuffix(", ")
        return (
            f"grpo({trainer}, {config}"
            + (f", keywords={{{given}}}" if given else "")
            + (f", **{settings})" if settings else ")")
        )
    rows = '{"per_device_train_batch_size": 8}' + (f" | {settings}" if settings else "")
    given = "".join(f", {name}={value}" for name, value in keywords.items())
    return f'build({trainer}, {config}, "{kind}", {rows}{given})'
