"""How many rows there are to train on, where that is known without loading them: milliseconds, for the parent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expctl.data import reading
from expctl.data.formats import UNREADABLE, data_file, is_data_file
from expctl.data.held_out import size_held_out, whole_prompts
from expctl.data.peek import shape_of
from expctl.data.shape import shaped, without_repetition

# A file that is larger has rows enough, or rows so long that counting them is left to the worker.
LARGEST_COUNTED = 1 << 16


def training_rows(options: dict[str, Any]) -> int | None:
    """Rows to train on, as the resolved `dataset` group says or its file shows; None where it is not known so."""
    target = options.get("_target_")
    if target == "expctl.data.files.load":
        return _of_file(options)
    ours = isinstance(target, str) and target.startswith("expctl.data.")
    return options.get("train_size") if ours else None


def _of_file(options: dict[str, Any]) -> int | None:
    path = str(options.get("path"))
    try:
        rows = rows_of(Path(path).expanduser())
        if rows is None or options.get("eval_path") is not None:
            return rows
        size = size_held_out(rows, options.get("eval_size"), where=f"dataset.path={path}")
        held_out = whole_prompts(_prompts(path, options), size, options["seed"])
    except (*UNREADABLE, TypeError):
        return None  # what is wrong with the file or a size is said elsewhere
    return rows - (size if held_out is None else len(held_out))


def _prompts(path: str, options: dict[str, Any]) -> Iterator[Any]:
    shape = shape_of(path, key="dataset.path", kind=options["kind"], columns=dict(options.get("columns") or {}))
    file = data_file(path)
    shape = without_repetition(reading.rows(file), shape)
    return (row["prompt"] for row in shaped(reading.rows(file), shape))


def rows_of(file: Path) -> int | None:
    """The rows of a data file; None where it is large, or in a format that is not read."""
    if not is_data_file(file) or file.stat().st_size > LARGEST_COUNTED:
        return None
    return sum(1 for _ in reading.rows(file))
