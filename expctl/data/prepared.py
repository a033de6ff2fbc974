"""Rows of data files as trainers take them: one way from files to a training and an evaluation set, for all loaders."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, Image, List
from trl.data_utils import unpair_preference_dataset

from expctl.base.data_kinds import PREFERENCE, UNPAIRED_PREFERENCE
from expctl.data.held_out import prompt_text_of
from expctl.data.images import IMAGES
from expctl.data.peek import check_edits, is_empty, naming, shape_of
from expctl.data.repetition import without_repetition
from expctl.data.row_options import check_named_columns, check_row_options, shape_options
from expctl.data.shape import shaped
from expctl.data.source import Source
from expctl.data.split import hold_out
from expctl.data.stream import Rows, first_held_out, stream
from expctl.data.table import table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preparation:
    """What is made of the rows of a training and an evaluation set.

    Args:
        kind: what the algorithm learns from, a key of `data_kinds.COLUMNS`.
        seed: chooses the rows that are held out, and shuffles.
        eval_size: how many rows are held out: a number, or a fraction below 1; None is a tenth, at most 64. Of a set
            of its own, its first so many rows (None: all of them).
        columns: TRL's column -> the data's.
        conversational: turn plain prompts and completions into turns of a conversation.
        system_prompt: the turn of the system with which conversations begin that have none; None for none.
        rows: how many are trained on at most, of those that are not held out: the first, or any of them if shuffled.
        shuffle: mix the rows before the first are taken.
        deduplicate: a column; of the rows with the same content there only the first is kept.
        held_out_by: a column; rows with the same content there are all held out, or none. The prompt unless it is set.
        streaming: read rows as they are trained on; the first ones are held out.
    """

    kind: str
    seed: int
    eval_size: int | float | None = None
    columns: dict[str, str] | None = None
    conversational: bool | None = False
    system_prompt: str | None = None
    rows: int | None = None
    shuffle: bool | None = None
    deduplicate: str | None = None
    held_out_by: str | None = None
    streaming: bool | None = None

    def both(self, train: Source, evaluation: Source | None) -> tuple[Any, Dataset]:
        """The set to train on and that to evaluate on; without a source for the second, rows of the first are held out.

        Raises:
            ValueError: no row, a row that the trainer cannot take, no such column, or too few rows to hold out.
        """
        check_row_options(vars(self))
        if self.streaming:
            return self._streamed(train, evaluation)
        trained_on = self._table(train)
        if evaluation is None:
            together = self.held_out_by or self._first_column(trained_on)
            check_named_columns({"held_out_by": together}, trained_on.column_names)
            trained_on, held_out = hold_out(trained_on, self.eval_size, self.seed, where=train.where, prompt=together)
        else:
            held_out = self._evaluated(evaluation)
        return self._selected(trained_on), held_out

    def _evaluated(self, evaluation: Source) -> Dataset:
        held_out = self._table(evaluation)
        if self.eval_size is None:
            return held_out
        size = self.eval_size
        count = int(size * len(held_out)) if size < 1 else min(int(size), len(held_out))
        return held_out.select(range(max(1, count)))

    def _streamed(self, train: Source, evaluation: Source | None) -> tuple[Any, Dataset]:
        check_edits(train)
        shape = shape_of(train, **shape_options(vars(self)))

        def rows() -> Iterator[dict[str, Any]]:
            with naming(train):
                yield from shaped(train.rows(), shape)

        left: Rows = rows
        if evaluation is not None:
            held_out = self._evaluated(evaluation)
        else:
            held_out, left = first_held_out(rows, self.eval_size, where=train.where)
        streamed = stream(left, self.seed, shuffle=bool(self.shuffle), most=self.rows)
        if shape.folder is not None:
            return streamed.cast_column(IMAGES, List(Image())), self._with_images(held_out)
        return streamed, held_out

    @staticmethod
    def _with_images(made: Dataset) -> Dataset:
        return made.cast_column(IMAGES, List(Image()))

    def _table(self, source: Source) -> Dataset:
        check_edits(source)
        if is_empty(source):
            kept = " that dataset.filter keeps" if source.edits.filter else ""
            raise ValueError(f"{source.where} is empty: it has no row{kept}.")
        shape = shape_of(source, **shape_options(vars(self)))
        with naming(source):
            shape = without_repetition(source.rows(), shape)
            made = table(lambda: shaped(source.rows(), shape), source.files, source.edits, shape)
        if shape.folder is not None:
            made = self._with_images(made)
        if shape.kind == PREFERENCE and self.kind == UNPAIRED_PREFERENCE:
            made = unpair_preference_dataset(made)
        return self._without_duplicates(made)

    def _without_duplicates(self, made: Dataset) -> Dataset:
        if self.deduplicate is None:
            return made
        check_named_columns({"deduplicate": self.deduplicate}, made.column_names)
        first: dict[str, int] = {}
        for index, cell in enumerate(made[self.deduplicate]):
            first.setdefault(prompt_text_of(cell), index)
        logger.info("dataset.deduplicate=%s keeps %d of %d rows", self.deduplicate, len(first), len(made))
        return made.select(sorted(first.values()))

    def _selected(self, made: Dataset) -> Dataset:
        if self.shuffle:
            made = made.shuffle(seed=self.seed)
        return made if self.rows is None else made.select(range(min(self.rows, len(made))))

    def _first_column(self, made: Dataset) -> str:
        return next(name for name in ("prompt", "messages", "text") if name in made.column_names)
