"""A dataset of the user's own: one file (JSONL, JSON, CSV, TSV, Parquet), its columns renamed to those TRL knows."""

from functools import partial
from pathlib import Path

from datasets import Dataset

from expctl.base.data_kinds import current_kind
from expctl.data.formats import data_file
from expctl.data.peek import is_empty, naming, shape_of
from expctl.data.reading import rows
from expctl.data.shape import shaped, without_repetition
from expctl.data.split import hold_out
from expctl.data.table import table


def load(
    *,
    kind: str,
    seed: int,
    path: str,
    eval_path: str | None = None,
    eval_size: int | float | None = None,
    columns: dict[str, str] | None = None,
    conversational: bool = False,
) -> tuple[Dataset, Dataset]:
    """Load a file, and hold a part of it out for evaluation.

    Args:
        kind: "prompt-only", "prompt-completion" or "preference"; any further column reaches the reward functions.
        seed: chooses the held-out rows.
        path: the training file.
        eval_path: a file to evaluate on; without one, rows of `path` are held out.
        eval_size: how many of them: rows, or a fraction where it is below 1; None is a tenth, at most 64. With an
            `eval_path`, its first so many rows (None: all of them).
        columns: TRL's column -> the file's, e.g. `{"prompt": "question"}`.
        conversational: turn plain prompts and completions into turns of a conversation, for an instruct model.

    Raises:
        FileNotFoundError, ValueError: no such file, no row, a missing column, an empty cell, too few rows to hold out.
    """
    prepare = partial(_prepared, kind=current_kind(kind), columns=dict(columns or {}), conversational=conversational)
    train = prepare(path, "dataset.path")
    if eval_path is None:
        return hold_out(train, eval_size, seed, where=f"dataset.path={path}")
    held_out = prepare(eval_path, "dataset.eval_path")
    if eval_size is not None:
        size = int(eval_size * len(held_out)) if eval_size < 1 else min(int(eval_size), len(held_out))
        held_out = held_out.select(range(max(1, size)))
    return train, held_out


def read_file(path: str | Path, *, key: str) -> Dataset:
    """One data file as it is. Raises FileNotFoundError or ValueError, which begin with `key` and `path`."""
    file = _with_rows(str(path), key)
    with naming(str(path), key):
        return table(lambda: (row for _, row in rows(file)), file)


def _prepared(path: str, key: str, *, kind: str, columns: dict[str, str], conversational: bool) -> Dataset:
    file = _with_rows(path, key)
    shape = shape_of(path, key=key, kind=kind, columns=columns, conversational=conversational)
    with naming(path, key):
        shape = without_repetition(rows(file), shape)
        return table(lambda: shaped(rows(file), shape), file, shape)


def _with_rows(path: str, key: str) -> Path:
    if is_empty(path, key=key):
        raise ValueError(f"{key}={path} is empty: it has no row.")
    return data_file(path, key=key)
