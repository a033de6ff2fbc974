"""How many rows there are to train on, where that is known without loading them: milliseconds, for the parent."""

from pathlib import Path
from typing import Any

from expctl.data import reading
from expctl.data.formats import UNREADABLE, is_data_file

# A file that is larger has rows enough, or rows so long that counting them is left to the worker.
LARGEST_COUNTED = 1 << 18


def training_rows(options: dict[str, Any]) -> int | None:
    """Rows to train on, as the resolved `dataset` group says or its file shows; None where it is not known so."""
    target = options.get("_target_")
    if target == "expctl.data.files.load":
        return _of_file(options)
    ours = isinstance(target, str) and target.startswith("expctl.data.")
    return options.get("train_size") if ours else None


def _of_file(options: dict[str, Any]) -> int | None:
    try:
        rows = rows_of(Path(str(options.get("path"))).expanduser())
    except UNREADABLE:
        return None  # what is wrong with the file is said elsewhere
    if rows is None or options.get("eval_path") is not None:
        return rows
    return rows - held_out(rows, options.get("eval_size"))


def held_out(rows: int, size: Any) -> int:
    """How many of a file's rows are held out; at least so many, as far as it is known here."""
    if size is None:
        return min(64, max(1, rows // 10))
    if not isinstance(size, int | float):
        return 1
    return round(size * rows) if size < 1 else int(size)


def rows_of(file: Path) -> int | None:
    """The rows of a data file; None where it is large, or in a format that is not read."""
    if not is_data_file(file) or file.stat().st_size > LARGEST_COUNTED:
        return None
    return sum(1 for _ in reading.rows(file))
