"""Functions that a trainer takes by name or dotted path: such a text is no `_target_`, but runs code all the same."""

from collections.abc import Iterator
from typing import Any

from expctl.algorithms.filters import NAMED_FILTERS
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal, set_by
from expctl.base.suggest import nearest
from expctl.config.checks.targets import resolve
from expctl.config.source.lookup import ClassDefinition, Definition, find

# Keyword of the trainer -> what it is called, and the names that stand for a dotted path.
FUNCTIONS = {
    "group_filter_func": ("group filter", NAMED_FILTERS),
    "token_advantages": ("source of token advantages", {}),
}
# The same for keywords of what is nested in them.
NESTED = {
    "filter": ("group filter", NAMED_FILTERS),
    "filters": ("group filter", NAMED_FILTERS),
    "step_rewards": ("step reward", {}),
}
# A class under these names is instantiated by the trainer; elsewhere it would be called with a rollout.
INSTANTIATED = ("group filter",)


def check_functions(experiment: Experiment) -> list[Refusal]:
    """Refuse names and dotted paths, at any depth below the trainer, that lead to no permitted function."""
    found = []
    trainer = experiment.config["algorithm"]["trainer"]
    for key, (called, names), text in _texts(trainer, "algorithm.trainer", FUNCTIONS):
        where = set_by(key, experiment.sources)
        if "." not in text:
            if text not in names:
                found.append(_unknown(text, called, names, where))
            continue
        try:
            definition = resolve(text, tuple(folder.resolve() for folder in experiment.code_folders), where)
        except Refusal as refusal:
            found.append(refusal)
            continue
        if isinstance(definition, ClassDefinition) and called not in INSTANTIATED:
            what = f"{text} is a class, and a {called} is called with a rollout"
            found.append(Refusal(what, where=where, do=f"{key}._target_={text} makes one of it"))
    return found


def defined_by(node: Any, experiment: Experiment) -> Definition | None:
    """The class or function that a name, a dotted path or a node with a `_target_` leads to, once they were checked."""
    path = node.get("_target_") if isinstance(node, dict) else node
    return find(NAMED_FILTERS.get(path, path), experiment.code_folders) if isinstance(path, str) else None


def _texts(node: dict, key: str, functions: dict) -> Iterator[tuple[str, tuple[str, dict], str]]:
    """Dotted key, what it is called, and text, of every function that is given as text."""
    for name, called in functions.items():
        value = node.get(name)
        for position, item in enumerate(value if isinstance(value, list) else [value]):
            inner = f"{key}.{name}[{position}]" if isinstance(value, list) else f"{key}.{name}"
            if isinstance(item, str):
                yield inner, called, item
            elif isinstance(item, dict) and str(item.get("_target_")).startswith("expctl."):
                yield from _texts(item, inner, NESTED)


def _unknown(text: str, called: str, names: dict[str, str], where: str) -> Refusal:
    return Refusal(
        f"no {called} '{text}'; there are {', '.join(names)}" if names else f"no {called} '{text}'",
        where=where,
        nearest=nearest(text, names),
        do=f"a {called} of your own is a dotted path, my_module.my_function",
    )
