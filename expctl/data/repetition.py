"""Plain completions that begin with their prompt, as some programs write them. Torch-free."""

from collections.abc import Iterable
from dataclasses import replace

from expctl.base.data_kinds import COLUMNS, TEXT
from expctl.data import pairs
from expctl.data.forms import COMPLETIONS
from expctl.data.shape import Place, Row, RowError, Shape, shaped

# Where none of so many rows repeats its prompt, the others are not looked at.
_ROWS_OF_ONE_FORM = 1000


def without_repetition(rows: Iterable[tuple[Place, Row]], shape: Shape) -> Shape:
    """The shape that takes the prompt off plain completions, where all rows of the file repeat it there.

    A few rows may begin so by chance; they stay as they are.

    Raises:
        RowError: most rows repeat it, and not all; as `shaped`.
    """
    if shape.folder is not None:
        return shape  # rows with images are conversations
    if not {*COLUMNS[shape.wanted or shape.kind]} & {*COMPLETIONS} or shape.kind == TEXT:
        return shape
    repeating, total, other = 0, 0, 0
    for row in shaped(rows, replace(shape, conversational=False)):
        total += 1
        if _repeats_prompt(row):
            repeating += 1
        else:
            other = other or total
        if total == _ROWS_OF_ONE_FORM and not repeating:
            return shape
    if total // 2 < repeating < total:
        raise RowError(
            f"in {repeating} of {total} rows the completions begin with the prompt, in row {other} they do not. "
            "Take the prompt out of all completions, or let all begin with it."
        )
    return replace(shape, repeated=0 < repeating == total)


def _repeats_prompt(row: Row) -> bool:
    """Whether the completions of a row are texts that begin with the whole prompt."""
    completions = {name: row[name] for name in COMPLETIONS if name in row}
    return bool(completions) and pairs.begins_with(row["prompt"], completions)
