"""Refuse a dataset that cannot work before anything is started. Torch-free and without `datasets`: milliseconds."""

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import COLUMNS, PROMPT_COMPLETION, PROMPT_ONLY
from expctl.data import benchmarks, gsm8k_location, peek
from expctl.data.check_parts import check_mixture, check_sets
from expctl.data.columns import check_kind, check_task
from expctl.data.formats import UNREADABLE
from expctl.data.held_out import size_held_out
from expctl.data.located import FILES, HUB, TRAINING_SPLIT, evaluation_source, is_held_out, training_source
from expctl.data.parts import MIXTURE
from expctl.data.row_options import check_named_columns, check_row_options, shape_options
from expctl.data.rows import rows_of
from expctl.data.source import Source

_REGISTERED = re.compile(r'^(?:DATASET_NAME = |register_dataset\(\s*)"(\w+)"', re.MULTILINE)


def check_dataset(options: dict[str, Any]) -> None:
    """Check what can be known from names and the first row of a file; a user's own loader is left to itself.

    Args:
        options: the resolved `dataset` group: `_target_` and the loader's keywords.

    Raises:
        FileNotFoundError, ValueError: the data do not exist, or the algorithm cannot train on them.
    """
    check = _CHECKS.get(options.get("_target_", ""))
    if check:
        check(options)
    check_sets(options, check_dataset)


def _files(options: dict[str, Any]) -> None:
    if not options.get("path"):
        raise ValueError("dataset=files needs a file: dataset.path=<file> (JSONL, JSON, CSV, TSV, Parquet, ...).")
    _rows(options)


def _hub(options: dict[str, Any]) -> None:
    if not options.get("path"):
        raise ValueError("dataset=hub needs the name of a data set: dataset.path=ORG/NAME")
    split, eval_split = options.get("split") or TRAINING_SPLIT, options.get("eval_split")
    if split == eval_split:
        raise ValueError(
            f"dataset.eval_split={eval_split} is the split that is trained on. Leave eval_split out to hold rows out."
        )
    _rows(options)


def _rows(options: dict[str, Any]) -> None:
    """Check the first rows to train and to evaluate on, as far as they are on this machine."""
    check_row_options(options)
    train, evaluation = training_source(options), evaluation_source(options)
    for source in (train, evaluation):
        if source is not None:
            _source(source, options)
    if train is not None and is_held_out(options):
        _check_eval_size(train, options.get("eval_size"))
    if train is not None and evaluation is not None:
        _check_no_file_of_both(train, evaluation)


def _source(source: Source, options: dict[str, Any]) -> None:
    peek.check_edits(source)
    rows, whole = peek.head(source)
    if not rows and whole:
        kept = " that dataset.filter keeps" if source.edits.filter else " to train or evaluate on"
        raise ValueError(f"{source.where} is empty: it has no row{kept}.")
    if rows:  # else the first one that a filter keeps lies further below
        shape = peek.shape_of(source, **shape_options(options))
        check_named_columns(options, [*peek.check_first_rows(source, shape), *COLUMNS[options["kind"]]])


def _check_eval_size(source: Source, eval_size: Any) -> None:
    """Raise ValueError where a small file has too few rows to hold `eval_size` out."""
    try:
        rows = rows_of(source)
    except UNREADABLE:
        return  # an error beyond the first rows, which are checked: the worker reports it with its row
    if rows is not None and isinstance(eval_size, int | float | None):
        size_held_out(rows, eval_size, where=source.where)


def _check_no_file_of_both(train: Source, evaluation: Source) -> None:
    trained_on = {os.path.realpath(file) for file in train.files}
    both = [file for file in evaluation.files if os.path.realpath(file) in trained_on]
    if both:
        this = "is the training file" if len(train.files) == 1 else f"has a training file, {both[0]}"
        raise ValueError(
            f"{evaluation.where} {this}: every row of it that is evaluated is trained on. Leave eval_path out to hold "
            "rows out; to measure on training data on purpose, name a copy of the file."
        )


def _gsm8k(options: dict[str, Any]) -> None:
    check_kind(options["kind"], "gsm8k", (PROMPT_ONLY, PROMPT_COMPLETION))
    gsm8k_location.find(options.get("path") or gsm8k_location.HUB_ID)


def _reasoning_gym(options: dict[str, Any]) -> None:
    check_kind(options["kind"], "reasoning_gym", (PROMPT_ONLY, PROMPT_COMPLETION))
    package = importlib.util.find_spec("reasoning_gym")
    if package is None or package.origin is None:
        raise ValueError("dataset=reasoning_gym needs the package reasoning-gym: pip install 'expctl[reasoning_gym]'.")
    task, names = options.get("task") or "", _task_names(Path(package.origin).parent)
    for name in task if isinstance(task, dict) else [task]:
        check_task(name, names)
    levels = options.get("levels")
    is_list = isinstance(levels, list) and all(isinstance(level, int) and level >= 0 for level in levels)
    if levels is not None and not is_list:
        raise ValueError(f"dataset.levels={levels} is no list of levels from 0, such as [0, 1, 2].")


def _task_names(package: Path) -> list[str]:
    """The tasks that reasoning-gym registers, read from its source: importing it takes more than a second."""
    sources = (file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    return sorted({name for source in sources for name in _REGISTERED.findall(source)})


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    FILES: _files,
    HUB: _hub,
    "expctl.data.gsm8k.load": _gsm8k,
    "expctl.data.reasoning_gym.load": _reasoning_gym,
    MIXTURE: lambda options: check_mixture(options, check_dataset),
    benchmarks.TARGET: benchmarks.check_benchmarks,
}
