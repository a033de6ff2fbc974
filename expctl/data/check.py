"""Refuse a dataset that cannot work before anything is started. Torch-free and without `datasets`: milliseconds."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import PROMPT_COMPLETION, PROMPT_ONLY
from expctl.data import gsm8k_location, peek
from expctl.data.columns import check_kind, check_task
from expctl.data.formats import UNREADABLE
from expctl.data.held_out import size_held_out
from expctl.data.rows import rows_of

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


def _files(options: dict[str, Any]) -> None:
    if not options.get("path"):
        raise ValueError("dataset=files needs a file: dataset.path=<file> (JSONL, JSON, CSV, TSV or Parquet).")
    for key in ("path", "eval_path"):
        path = options.get(key)
        if path is not None:
            _file(str(path), f"dataset.{key}", options)
    if options.get("eval_path") is None:
        _check_eval_size(options["path"], options.get("eval_size"))
    else:
        _check_two_files(options["path"], options["eval_path"])


def _file(path: str, key: str, options: dict[str, Any]) -> None:
    columns = dict(options.get("columns") or {})
    if peek.is_empty(path, key=key):
        raise ValueError(f"{key}={path} is empty: it has no row to train or evaluate on.")
    shape = peek.shape_of(path, key=key, kind=options["kind"], columns=columns)
    peek.check_first_rows(path, shape, key=key)


def _check_eval_size(path: str, eval_size: Any) -> None:
    """Raise ValueError where a small file has too few rows to hold `eval_size` out."""
    try:
        rows = rows_of(Path(path).expanduser())
    except UNREADABLE:
        return  # an error beyond the first rows, which are checked: the worker reports it with its row
    if rows is not None and isinstance(eval_size, int | float | None):
        size_held_out(rows, eval_size, where=f"dataset.path={path}")


def _check_two_files(path: str, eval_path: str) -> None:
    if Path(path).expanduser().samefile(Path(eval_path).expanduser()):
        raise ValueError(
            f"dataset.eval_path={eval_path} is the training file: every row that is evaluated is trained on. Leave "
            "eval_path out to hold rows out; to measure on training data on purpose, name a copy of the file."
        )


def _gsm8k(options: dict[str, Any]) -> None:
    check_kind(options["kind"], "gsm8k", (PROMPT_ONLY, PROMPT_COMPLETION))
    gsm8k_location.find(options.get("path") or gsm8k_location.HUB_ID)


def _reasoning_gym(options: dict[str, Any]) -> None:
    check_kind(options["kind"], "reasoning_gym", (PROMPT_ONLY, PROMPT_COMPLETION))
    package = importlib.util.find_spec("reasoning_gym")
    if package is None or package.origin is None:
        raise ValueError("dataset=reasoning_gym needs the package reasoning-gym: pip install 'expctl[reasoning_gym]'.")
    check_task(options.get("task", ""), _task_names(Path(package.origin).parent))


def _task_names(package: Path) -> list[str]:
    """The tasks that reasoning-gym registers, read from its source: importing it takes more than a second."""
    sources = (file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    return sorted({name for source in sources for name in _REGISTERED.findall(source)})


_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "expctl.data.files.load": _files,
    "expctl.data.gsm8k.load": _gsm8k,
    "expctl.data.reasoning_gym.load": _reasoning_gym,
}
