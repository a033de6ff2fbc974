"""Which rows are held out for evaluation: one rule for parent and worker. Torch-free."""

import json
import random
from collections.abc import Iterable
from typing import Any

MOST_BY_DEFAULT = 64


def size_held_out(rows: int, eval_size: int | float | None, *, where: str) -> int:
    """How many of `rows` rows are held out: `eval_size`, a fraction below 1; None is a tenth, at most 64.

    Raises:
        ValueError: nothing would be held out, or nothing left to train on; `where` names the data in the message.
    """
    if eval_size is None:
        size = min(MOST_BY_DEFAULT, max(1, rows // 10))
    else:
        size = round(eval_size * rows) if eval_size < 1 else int(eval_size)
    if eval_size is not None and eval_size > 1 and size != eval_size:
        raise ValueError(f"dataset.eval_size={eval_size} is neither a number of rows nor a share of them below 1.")
    if eval_size is None and rows == 1:
        raise ValueError(
            f"{where} has 1 row, and one is held out: none is left to train on. Give more rows, or a second file to "
            "evaluate on: dataset.eval_path=..."
        )
    if not 1 <= size < rows:
        raise ValueError(
            f"dataset.eval_size={eval_size} holds out {size} of the {rows} rows of {where}; "
            "between 1 and all but one are possible. Or name a second file: dataset.eval_path=..."
        )
    return size


def whole_prompts(prompts: Iterable[Any], size: int, seed: int) -> set[int] | None:
    """Indices of at most `size` rows, chosen by `seed` so that the rows of one prompt stay together.

    Where each prompt has more than `size` rows, that with the fewest is held out. None where any `size` rows may be:
    each row has a prompt of its own, or all have the same.
    """
    rows_of_prompt: dict[str, list[int]] = {}
    count = 0
    for index, prompt in enumerate(prompts):
        rows_of_prompt.setdefault(prompt_text_of(prompt), []).append(index)
        count += 1
    if len(rows_of_prompt) in (1, count):
        return None
    shuffled = list(rows_of_prompt.values())
    random.Random(seed).shuffle(shuffled)
    held_out: set[int] = set()
    for indices in shuffled:
        if len(held_out) + len(indices) <= size:
            held_out.update(indices)
    fewest: list[int] = min(shuffled, key=len)
    return held_out or set(fewest)


def prompt_text_of(prompt: Any) -> str:
    """A prompt as one text; of a conversation its turns as JSON."""
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)
