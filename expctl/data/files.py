"""A dataset of the user's own: files of JSON, CSV, Parquet, Arrow or text, their columns renamed to those TRL knows."""

from pathlib import Path

from datasets import Dataset

from expctl.base.data_kinds import current_kind
from expctl.data.edits import Edits
from expctl.data.located import file_source
from expctl.data.peek import is_empty, naming
from expctl.data.prepared import Preparation
from expctl.data.table import table


def load(
    *,
    kind: str,
    seed: int,
    path: str | list[str],
    eval_path: str | list[str] | None = None,
    eval_size: int | float | None = None,
    columns: dict[str, str] | None = None,
    template: str | None = None,
    conversational: bool = False,
    system_prompt: str | None = None,
    answer: str | None = None,
    filter: str | None = None,
    rows: int | None = None,
    shuffle: bool | None = None,
    deduplicate: str | None = None,
    held_out_by: str | None = None,
    streaming: bool | None = None,
) -> tuple[Dataset, Dataset]:
    """Load files, and hold a part of their rows out for evaluation.

    Args:
        kind: "prompt-only", "prompt-completion" or "preference"; any further column reaches the reward functions.
        seed: chooses the held-out rows.
        path: the training data: a file, a folder of shards or of `save_to_disk`, a pattern, or several of these.
        eval_path: the same, to evaluate on; without one, rows of `path` are held out.
        template, answer, filter: as in `edits.Edits`.
        eval_size, columns, conversational, system_prompt, rows, shuffle, deduplicate, held_out_by, streaming: as in
            `prepared.Preparation`.

    Raises:
        FileNotFoundError, ValueError: no such file, no row, a missing column, an empty cell, too few rows to hold out.
    """
    preparation = Preparation(
        kind=current_kind(kind),
        seed=seed,
        eval_size=eval_size,
        columns=columns,
        conversational=conversational,
        system_prompt=system_prompt,
        rows=rows,
        shuffle=shuffle,
        deduplicate=deduplicate,
        held_out_by=held_out_by,
        streaming=streaming,
    )
    edits = Edits.of({"filter": filter, "template": template, "answer": answer, "columns": columns})
    train = file_source(path, "dataset.path", edits)
    evaluation = None if eval_path is None else file_source(eval_path, "dataset.eval_path", edits)
    return preparation.both(train, evaluation)


def read_file(path: str | Path, *, key: str) -> Dataset:
    """One data file as it is. Raises FileNotFoundError or ValueError, which begin with `key` and `path`."""
    source = file_source(str(path), key)
    if is_empty(source):
        raise ValueError(f"{source.where} is empty: it has no row.")
    with naming(source):
        return table(lambda: (row for _, row in source.rows()), source.files)
