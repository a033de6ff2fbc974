"""Rows of data files that are read as they are trained on, and never held or written as a whole."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from datasets import Dataset, IterableDataset

from expctl.data.held_out import MOST_BY_DEFAULT, prompt_text_of
from expctl.data.images import IMAGES, identity
from expctl.data.table import completed, features_of, table

Row = dict[str, Any]
Rows = Callable[[], Iterable[Row]]
# Rows whose cells tell the types of all, and rows among which a shuffled stream chooses the next one.
TYPED, BUFFER = 1000, 1000


def stream(rows: Rows, seed: int, *, shuffle: bool, most: int | None) -> IterableDataset:
    """The rows that `rows()` gives, each time it is called.

    Args:
        rows: as the trainer takes them.
        seed: of the shuffling.
        shuffle: take any of the next `BUFFER` rows in place of the next one.
        most: how many there are at most; None for all.
    """
    features = features_of(islice(rows(), TYPED))
    dataset = IterableDataset.from_generator(partial(completed, rows, features), features=features)
    if shuffle:
        dataset = dataset.shuffle(seed=seed, buffer_size=BUFFER)
    return dataset if most is None else dataset.take(most)


def first_held_out(rows: Rows, eval_size: int | float | None, *, where: str) -> tuple[Dataset, Rows]:
    """The first rows, to evaluate on, and a function that gives all rows but those that ask the same.

    Raises:
        ValueError: `eval_size` is a share of rows whose number nobody knows.
    """
    size = MOST_BY_DEFAULT if eval_size is None else eval_size
    if size < 1 or size != int(size):
        raise ValueError(f"dataset.eval_size={eval_size} is no number of rows, and a stream has no number to share.")
    first = list(islice(rows(), int(size)))
    asked = {_question(row) for row in first}

    def others() -> Iterator[Row]:
        return (row for row in rows() if _question(row) not in asked)

    if next(others(), None) is None:
        raise ValueError(f"dataset.eval_size={eval_size} leaves no row of {where} to train on.")
    return table(lambda: first, (), where, len(first), repr(first)), others


def _question(row: Row) -> str:
    cell = next((row[name] for name in ("prompt", "messages", "text") if name in row), None)
    return f"{prompt_text_of(cell)} {identity(row.get(IMAGES))}"
