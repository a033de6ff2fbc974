"""How many rows there are to train on, where that is known without loading them: milliseconds, for the parent."""

from collections.abc import Iterator
from typing import Any

from expctl.data.formats import UNREADABLE
from expctl.data.held_out import size_held_out, whole_prompts
from expctl.data.located import LOADERS, is_held_out, training_source
from expctl.data.peek import shape_of
from expctl.data.repetition import without_repetition
from expctl.data.row_options import shape_options
from expctl.data.shape import shaped
from expctl.data.source import Source
from expctl.data.token_filter import KEY as FILTER_TOKENS

# Files that are larger together have rows enough, or rows so long that counting them is left to the worker.
LARGEST_COUNTED = 1 << 16


def training_rows(options: dict[str, Any]) -> int | None:
    """Rows to train on, as the resolved `dataset` group says or its files show; None where it is not known so."""
    if options.get(FILTER_TOKENS) is not None or options.get("streaming"):
        return None  # only the worker can count tokens, and nobody the rows of a stream
    target = options.get("_target_")
    if target in LOADERS:
        rows, most = _of_files(options), options.get("rows")
        return min(rows, most) if rows is not None and isinstance(most, int) else rows
    ours = isinstance(target, str) and target.startswith("expctl.data.")
    return options.get("train_size") if ours else None


def _of_files(options: dict[str, Any]) -> int | None:
    try:
        source = training_source(options)
        rows = None if source is None else rows_of(source)
        if source is None or rows is None or not is_held_out(options):
            return rows
        size = size_held_out(rows, options.get("eval_size"), where=source.where)
        held_out = whole_prompts(_prompts(source, options), size, options["seed"])
    except (*UNREADABLE, TypeError):
        return None  # what is wrong with the files or a size is said elsewhere
    return rows - (size if held_out is None else len(held_out))


def _prompts(source: Source, options: dict[str, Any]) -> Iterator[Any]:
    shape = shape_of(source, **shape_options(options))
    shape = without_repetition(source.rows(), shape)
    together = options.get("held_out_by")
    names = (together,) if together else ("prompt", "messages", "text")
    return (next((row[name] for name in names if name in row), None) for row in shaped(source.rows(), shape))


def rows_of(source: Source) -> int | None:
    """The rows of data files; None where they are large."""
    if sum(file.stat().st_size for file in source.files) > LARGEST_COUNTED:
        return None
    return sum(1 for _ in source.rows())
