"""Functions that a trainer takes by name or dotted path: such a text is no `_target_`, but runs code all the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from expctl.algorithms.filters import NAMED_FILTERS
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.config.checks.targets import resolve
from expctl.config.source.lookup import ClassDefinition, Definition, find


@dataclass(frozen=True)
class Kind:
    """A kind of function.

    Args:
        title: what a refusal calls it.
        names: the names that stand for a dotted path.
        is_instantiated: the trainer makes an object of a class; elsewhere a class would be called with a rollout.
    """

    title: str
    names: Mapping[str, str] = field(default_factory=dict)
    is_instantiated: bool = False


FILTER = Kind("group filter", NAMED_FILTERS, is_instantiated=True)
# Keyword of the trainer -> the kind of function that it takes.
OF_TRAINER = {"group_filter_func": FILTER, "token_advantages": Kind("source of token advantages")}
# The same for keywords of what is nested in them.
OF_NESTED = {"filter": FILTER, "filters": FILTER, "step_rewards": Kind("step reward")}


def check_callables(experiment: Experiment) -> list[Refusal]:
    """Refuse names and dotted paths, at any depth below the trainer, that lead to no permitted function."""
    refusals = []
    for key, kind, text in _texts(experiment.config["algorithm"]["trainer"], "algorithm.trainer", OF_TRAINER):
        refusal = _refusal(experiment, key, kind, text)
        if refusal:
            refusals.append(refusal)
    return refusals


def defined_by(node: Any, experiment: Experiment) -> Definition | None:
    """The class or function that a name, a dotted path or a node with a `_target_` leads to, once they were checked."""
    path = node.get("_target_") if isinstance(node, dict) else node
    return find(NAMED_FILTERS.get(path, path), experiment.code_folders) if isinstance(path, str) else None


def _refusal(experiment: Experiment, key: str, kind: Kind, text: str) -> Refusal | None:
    where = experiment.set_by(key)
    if "." not in text:
        return None if text in kind.names else _unknown(text, kind, where)
    try:
        definition = resolve(text, tuple(folder.resolve() for folder in experiment.code_folders), where)
    except Refusal as refusal:
        return refusal
    if isinstance(definition, ClassDefinition) and not kind.is_instantiated:
        what = f"{text} is a class, and a {kind.title} is called with a rollout"
        return Refusal(what, where=where, do=f"{key}._target_={text} makes one of it")
    return None


def _texts(node: dict[str, Any], key: str, kinds: dict[str, Kind]) -> Iterator[tuple[str, Kind, str]]:
    """Dotted key, kind and text of every function that is given as text."""
    for name, kind in kinds.items():
        value = node.get(name)
        items = {f"{key}.{name}": value}
        if isinstance(value, list):
            items = {f"{key}.{name}[{position}]": item for position, item in enumerate(value)}
        for inner, item in items.items():
            if isinstance(item, str):
                yield inner, kind, item
            elif isinstance(item, dict) and str(item.get("_target_")).startswith("expctl."):
                yield from _texts(item, inner, OF_NESTED)


def _unknown(text: str, kind: Kind, where: str) -> Refusal:
    what = f"no {kind.title} '{text}'"
    return Refusal(
        f"{what}; there are {', '.join(kind.names)}" if kind.names else what,
        where=where,
        nearest=nearest(text, kind.names),
        do=f"a {kind.title} of your own is a dotted path, my_module.my_function",
    )
