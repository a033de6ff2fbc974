"""Hold rows out for evaluation. Rows of one prompt stay together: no prompt that is evaluated is trained on."""

import json
import random
from typing import Any

from datasets import Dataset

MOST_HELD_OUT_BY_DEFAULT = 64


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
    if eval_size is None:
        size = min(MOST_HELD_OUT_BY_DEFAULT, max(1, rows // 10))
    else:
        size = round(eval_size * rows) if eval_size < 1 else int(eval_size)
    if not 1 <= size < rows:
        raise ValueError(
            f"dataset.eval_size={eval_size} holds out {size} of the {rows} rows of {where}; "
            "between 1 and all but one are possible. Or name a second file: dataset.eval_path=..."
        )
    groups = rows_by_prompt(table, prompt)
    if len(groups) in (1, rows):  # nothing belongs together, or everything does
        split = table.train_test_split(test_size=size, seed=seed)
        return split["train"], split["test"]
    held_out = _whole_groups(list(groups.values()), size, seed)
    return table.select(sorted(set(range(rows)) - held_out)), table.select(sorted(held_out))


def rows_by_prompt(table: Dataset, prompt: str = "prompt") -> dict[str, list[int]]:
    """The places of the rows that each prompt has, by its text or, of a conversation, its turns as JSON."""
    groups: dict[str, list[int]] = {}
    for place, cell in enumerate(table[prompt]):
        groups.setdefault(prompt_text_of(cell), []).append(place)
    return groups


def _whole_groups(groups: list[list[int]], size: int, seed: int) -> set[int]:
    random.Random(seed).shuffle(groups)
    held_out: set[int] = set()
    for rows in groups:
        if len(held_out) + len(rows) <= size:
            held_out.update(rows)
    return held_out or set(min(groups, key=len))


def prompt_text_of(prompt: Any) -> str:
    """A prompt as one text; of a conversation its turns as JSON."""
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)
