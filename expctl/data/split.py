"""Hold rows out for evaluation. Rows of one prompt stay together: no prompt that is evaluated is trained on."""

from collections.abc import Iterable
from typing import Any

from datasets import Dataset, Image, List

from expctl.data.held_out import prompt_text_of, size_held_out, whole_prompts
from expctl.data.images import IMAGES, identity


def hold_out(
    table: Dataset, eval_size: int | float | None, seed: int, *, where: str, prompt: str = "prompt"
) -> tuple[Dataset, Dataset]:
    """Split rows, by `seed`, into those to train on and those held out.

    Args:
        table: rows with a column `prompt`.
        eval_size: rows to hold out, or a fraction where it is below 1; None is a tenth, at most 64. Where prompts
            repeat, the number of rows that whole prompts make up and that does not exceed it; of one prompt at least.
        seed: chooses the rows.
        where: the config key and its value, for the message.
        prompt: name of the column that says which rows belong together.

    Raises:
        ValueError: nothing would be held out, or nothing left to train on.
    """
    rows = len(table)
    size = size_held_out(rows, eval_size, where=where)
    held_out = whole_prompts(questions(table, prompt), size, seed)
    if held_out is None:
        split = table.train_test_split(test_size=size, seed=seed)
        return split["train"], split["test"]
    return table.select(sorted(set(range(rows)) - held_out)), table.select(sorted(held_out))


def questions(table: Dataset, column: str = "prompt") -> Iterable[Any]:
    """What a column asks in each row: its cell, with the images of the row where it has some."""
    if IMAGES not in table.column_names:
        cells: Iterable[Any] = table[column]
        return cells
    stored = table.cast_column(IMAGES, List(Image(decode=False)))
    pairs = zip(stored[column], stored[IMAGES], strict=True)
    return [f"{prompt_text_of(cell)} {identity(images)}" for cell, images in pairs]
