"""Refuse sources of a mixture and further sets to evaluate on that cannot work. Torch-free, without `datasets`."""

import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from expctl.base.plain_data import is_number, mapping
from expctl.data import peek
from expctl.data.located import LOADERS, training_source
from expctl.data.parts import HELD_OUT, SETS, SOURCES, under
from expctl.data.row_options import check_row_options, shape_options

STOPPING = ("first_exhausted", "all_exhausted")
Check = Callable[[dict[str, Any]], None]
# Loaders whose prompts are always texts, and those whose prompts are always conversations.
_FORMS = {
    "expctl.data.arithmetic.load": "texts",
    "expctl.data.gsm8k.load": "conversations",
    "expctl.data.reasoning_gym.load": "conversations",
}


def check_mixture(options: Mapping[str, Any], check: Check) -> None:
    """Check the sources of a mixture, their weights and the rule by which it ends.

    Args:
        options: the resolved `dataset` group.
        check: of the group of one source.

    Raises:
        FileNotFoundError, ValueError: begins with the key.
    """
    sources = mapping(options.get(SOURCES))
    if not sources:
        raise ValueError(
            "dataset=mixture needs sources, each with a name: dataset.sources.sums=sums.jsonl for files, or "
            "+dataset@dataset.sources.math=math for an option of `expctl list dataset`."
        )
    stopping = options.get("stopping", STOPPING[0])
    if stopping not in STOPPING:
        raise ValueError(f"dataset.stopping={stopping} is not known.{_nearest(stopping, STOPPING)}")
    _check_weights(options.get("weights"), list(sources))
    check_row_options(options)
    for name, node in sources.items():
        _check_part(f"{SOURCES}.{name}", node, check)
    forms = {name: form for name, node in sources.items() if (form := _form(node)) is not None}
    if len(set(forms.values())) > 1:
        plain = next(name for name, form in forms.items() if form == "texts")
        said = ", ".join(f"those of {name} are {form}" for name, form in forms.items())
        raise ValueError(
            f"dataset.sources: the prompts of one are texts and of another conversations ({said}).\n"
            f"dataset.sources.{plain}.conversational=true, for files and data of the hub"
        )


def check_sets(options: Mapping[str, Any], check: Check) -> None:
    """Check the further sets to evaluate on. Arguments and errors as of `check_mixture`."""
    sets = options.get(SETS)
    if sets is not None and not isinstance(sets, dict):
        raise ValueError(f"dataset.eval_sets={sets} is no mapping of names to data: dataset.eval_sets.hard=hard.jsonl.")
    for name, node in mapping(sets).items():
        if name == HELD_OUT or name in mapping(options.get(SOURCES)):
            raise ValueError(f"dataset.eval_sets.{name}: the name is taken by what the dataset itself holds out.")
        _check_part(f"{SETS}.{name}", node, lambda part: _all_rows(part, check))


def check_sets_apart(options: Mapping[str, Any]) -> None:
    """Raise ValueError where a further set to evaluate on is, or has, a file that is trained on."""
    nodes = [options, *mapping(options.get(SOURCES)).values()]
    trained_on: set[str] = set()
    for node in nodes:
        source = training_source(node)
        trained_on.update(map(os.path.realpath, source.files if source else []))
    for name, node in mapping(options.get(SETS)).items():
        source = training_source(node)
        both = [file for file in source.files if os.path.realpath(file) in trained_on] if source else []
        if both:
            raise ValueError(
                f"dataset.{SETS}.{name} has a training file, {both[0]}: what it measures has been trained on.\n"
                "name other rows, or leave the set out: rows are held out of the training file as it is; to measure on "
                "training data on purpose, name a copy of the file"
            )


def _check_part(key: str, node: Any, check: Check) -> None:
    name = key.rpartition(".")[2]
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise ValueError(f"dataset.{key}: a name is made of letters, digits and _, for it stands in names of metrics.")
    if not isinstance(node, dict):
        raise ValueError(f"dataset.{key}={node} is no data set; a path is, or a mapping such as {{path: hard.jsonl}}.")
    if "path" in node and not node["path"]:
        raise ValueError(f"dataset.{key}.path={node['path']} names no data.")
    if node.get("_target_") in LOADERS and "path" not in node:
        raise ValueError(f"dataset.{key} names no data.\ndataset.{key}.path=<file>")
    try:
        check(node)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(under(key, str(error))) from error


def _all_rows(node: dict[str, Any], check: Check) -> None:
    """Check a set of which all rows are evaluated, so that none is held out."""
    if node.get("_target_") not in LOADERS:
        check(node)
        return
    check_row_options(node)
    source = training_source(node)
    if source is None:
        return
    rows, whole = peek.head(source)
    if not rows and whole:
        raise ValueError(f"{source.where} is empty: it has no row to evaluate on.")
    if rows:
        peek.check_first_rows(source, peek.shape_of(source, **shape_options(node)))


def _check_weights(weights: Any, names: list[str]) -> None:
    if weights is None or weights == {}:
        return
    if not isinstance(weights, dict):
        raise ValueError(f"dataset.weights={weights} is no mapping of sources to weights: {{{names[0]}: 2, ...}}.")
    for name, weight in weights.items():
        if name not in names:
            raise ValueError(f"dataset.weights.{name}: no source is called so.{_nearest(str(name), names)}")
        if not is_number(weight) or not 0 < weight < float("inf"):
            raise ValueError(f"dataset.weights.{name}={weight} is no weight; a number above 0 is.")
    missing = [name for name in names if name not in weights]
    if missing:
        raise ValueError(
            f"dataset.weights has none for the source {missing[0]}.\n"
            f"dataset.weights.{missing[0]}=1, or weights for none"
        )


def _form(node: dict[str, Any]) -> str | None:
    """`texts` or `conversations`, what the prompts of a source are; None where that is not known here."""
    target = str(node.get("_target_"))
    if target not in LOADERS:
        return _FORMS.get(target)
    source = training_source(node)
    if source is None:
        return None
    rows = peek.head(source)[0]
    if not rows:
        return None
    row = peek.shape_of(source, **shape_options(node)).row(rows[0][1])
    first = next((row[name] for name in ("prompt", "messages", "text") if name in row), None)
    return "texts" if isinstance(first, str) else "conversations"


def _nearest(word: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(str(word), known, n=1, cutoff=0.4)
    return f" Did you mean {found[0]}?" if found else f" There are {', '.join(known)}."
