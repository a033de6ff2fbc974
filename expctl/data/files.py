"""A dataset of the user's own: one file (JSONL, JSON, CSV, TSV, Parquet), its columns renamed to those TRL knows."""

from pathlib import Path

import datasets
import pyarrow
from datasets import Dataset
from pyarrow import compute

from expctl.data.columns import KINDS, check_columns
from expctl.data.conversation import to_conversation
from expctl.data.peek import FORMATS, data_file, is_empty

MOST_HELD_OUT_BY_DEFAULT = 64


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
        kind: "prompts", "completions" or "preferences"; any further column reaches the reward functions.
        seed: chooses the held-out rows.
        path: the training file.
        eval_path: a file to evaluate on; without one, rows of `path` are held out.
        eval_size: how many of them: rows, or a fraction where it is below 1; None is a tenth, at most 64. With an
            `eval_path`, its first so many rows (None: all of them).
        columns: our column -> the file's, e.g. `{"prompt": "question"}`.
        conversational: turn plain prompts and completions into turns of a conversation, for an instruct model.

    Raises:
        FileNotFoundError, ValueError: no such file, no row, a missing column, an empty cell, too few rows to hold out.
    """
    columns = dict(columns or {})
    train = _prepare(path, "dataset.path", kind, columns, conversational)
    if eval_path is None:
        return hold_out(train, eval_size, seed, where=f"dataset.path={path}")
    held_out = _prepare(eval_path, "dataset.eval_path", kind, columns, conversational)
    if eval_size is not None:
        size = int(eval_size * len(held_out)) if eval_size < 1 else min(int(eval_size), len(held_out))
        held_out = held_out.select(range(max(1, size)))
    return train, held_out


def read_file(path: str | Path, *, key: str) -> Dataset:
    """One data file as it is. Raises FileNotFoundError or ValueError, which begin with `key` and `path`."""
    file = data_file(str(path), key=key)
    options = {"sep": "\t"} if file.suffix == ".tsv" else {}
    if is_empty(str(file), key=key):
        raise ValueError(f"{key}={path} is empty: it has no row.")
    try:
        return datasets.load_dataset(FORMATS[file.suffix], data_files=str(file), split="train", **options)
    except datasets.exceptions.DatasetGenerationError as error:
        raise ValueError(f"{key}={path} cannot be read: {error.__cause__ or error}") from error


def hold_out(table: Dataset, eval_size: int | float | None, seed: int, *, where: str) -> tuple[Dataset, Dataset]:
    """Split rows, by `seed`, into those to train on and those held out. Raises ValueError where either is empty."""
    rows = len(table)
    if eval_size is None:
        size = min(MOST_HELD_OUT_BY_DEFAULT, max(1, rows // 10))
    else:
        size = round(eval_size * rows) if eval_size < 1 else int(eval_size)
    if not 1 <= size < rows:
        raise ValueError(
            f"dataset.eval_size={eval_size} holds out {size} of the {rows} rows of {where}; "
            "between 1 and all but one are possible. Or name a second file: dataset.eval_path=..."
        )
    split = table.train_test_split(test_size=size, seed=seed)
    return split["train"], split["test"]


def _prepare(path: str, key: str, kind: str, columns: dict[str, str], conversational: bool) -> Dataset:
    where = f"{key}={path}"
    table = read_file(path, key=key)
    check_columns(table.column_names, kind=kind, columns=columns, where=where)
    renamed = {theirs: ours for ours, theirs in columns.items() if ours != theirs}
    # A column that stands where a mapped one has to go makes room.
    table = table.remove_columns(
        [ours for ours in renamed.values() if ours in table.column_names and ours not in renamed]
    )
    table = table.rename_columns(renamed)
    for name in KINDS[kind]:
        _check_cells(table, name, where)
    return to_conversation(table, KINDS[kind]) if conversational else table


def _check_cells(table: Dataset, name: str, where: str) -> None:
    """Every cell must be a text or a conversation; an empty one would train on nothing, silently."""
    column = table.data.column(name)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        lengths = compute.utf8_length(column)
    elif _is_conversation(column.type):
        lengths = compute.list_value_length(column)
    else:
        raise ValueError(
            f"{where}: column '{name}' holds {column.type}, e.g. {table[0][name]!r:.60}; it must hold texts, or "
            'conversations such as [{"role": "user", "content": "..."}].'
        )
    row = compute.index(compute.fill_null(compute.equal(lengths, 0), True), True).as_py()
    if row >= 0:
        raise ValueError(
            f"{where}: column '{name}' is empty in row {row + 1} of {len(table)}; fill it or take the row out."
        )


def _is_conversation(column_type: pyarrow.DataType) -> bool:
    lists = pyarrow.types.is_list(column_type) or pyarrow.types.is_large_list(column_type)
    if not lists or not pyarrow.types.is_struct(column_type.value_type):
        return False
    return {"role", "content"} <= {field.name for field in column_type.value_type}
