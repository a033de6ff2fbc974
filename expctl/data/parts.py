"""The data sets within a `dataset` group: the sources of a mixture, and further sets to evaluate on. Torch-free."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from expctl.base.plain_data import mapping
from expctl.data.located import FILES, HUB, TRAINING_SPLIT

MIXTURE = "expctl.data.mixture.load"
SOURCES, SETS = "sources", "eval_sets"
# What a dataset's own held-out rows are called beside sets that have names.
HELD_OUT = "held_out"
# How the rows of a set are read follows that of the rows to train on, where both are files of the user's.
INHERITED = ("columns", "template", "answer", "filter", "conversational", "system_prompt")


def parts_of(dataset: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Key below `dataset` (`sources.sums`, `eval_sets.hard`) and node, of each data set within a group."""
    for key in (SOURCES, SETS):
        for name, node in mapping(dataset.get(key)).items():
            yield f"{key}.{name}", node


def complete(dataset: dict[str, Any]) -> None:
    """Complete the nodes of sources and sets: a path alone is a file or several, with the kind and seed of the group.

    Of a set all rows are evaluated: files and splits of the hub are named as what is evaluated, too.
    """
    for key in (SOURCES, SETS):
        parts = dataset.get(key)
        if isinstance(parts, dict):
            dataset[key] = {name: _completed(node, dataset, is_set=key == SETS) for name, node in parts.items()}


def _completed(node: Any, dataset: Mapping[str, Any], *, is_set: bool) -> Any:
    if isinstance(node, str | list):
        node = {"path": node}
    if not isinstance(node, dict):
        return node
    if "_target_" not in node:
        alike = is_set and dataset.get("_target_") in (FILES, HUB)
        given = {name: dataset[name] for name in INHERITED if alike and name in dataset}
        node = {"_target_": FILES} | given | node
    node = {name: dataset[name] for name in ("kind", "seed") if name in dataset} | node
    if is_set and node["_target_"] == FILES and node.get("eval_path") is None and "path" in node:
        node["eval_path"] = node["path"]
    if is_set and node["_target_"] == HUB and node.get("eval_split") is None:
        node["eval_split"] = node.get("split") or TRAINING_SPLIT
    return node


def of_kind(dataset: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The group with another kind of rows, its sources too."""
    sources = {name: node | {"kind": kind} for name, node in mapping(dataset.get(SOURCES)).items()}
    return {**dataset, "kind": kind} | ({SOURCES: sources} if sources else {})


def set_names(dataset: Mapping[str, Any]) -> list[str]:
    """The names of the evaluation sets, first the one that the objective is of; empty where there is one set."""
    sources = mapping(dataset.get(SOURCES)) if dataset.get("eval_by_source") else {}
    own = list(sources) or [HELD_OUT]
    sets = list(mapping(dataset.get(SETS)))
    return [*own, *sets] if sources or sets else []


def is_of_a_set(metric: str, names: list[str]) -> bool:
    """Whether a metric's name, with or without `eval_`, is that of one of these sets."""
    return metric.removeprefix("eval_").startswith(tuple(f"{name}_" for name in names))


def of_first_set(metric: str, names: list[str]) -> str:
    """A metric of an evaluation as that of the first of several named sets."""
    if not names or not metric.startswith("eval_") or is_of_a_set(metric, names):
        return metric
    return f"eval_{names[0]}_{metric.removeprefix('eval_')}"


def weight_of(key: str) -> list[str]:
    """The key that a weight has which was typed for the source itself (`dataset.sources.sums.weight`), if it was."""
    typed = re.fullmatch(rf"dataset\.{SOURCES}\.(\w+)\.weights?", key)
    return [f"dataset.weights.{typed[1]}"] if typed else []


def under(key: str, message: str) -> str:
    """A message about a `dataset` group as one about a part of it: `dataset.path` is `dataset.sources.sums.path`."""
    return re.sub(r"\bdataset\.(?=[a-z])", f"dataset.{key}.", message)
