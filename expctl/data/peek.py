"""Look at the beginning of data files: their columns and first rows. Without `datasets`, for the parent."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from expctl.base.data_kinds import PROMPT_COMPLETION
from expctl.data.columns import sources
from expctl.data.formats import format_of
from expctl.data.forms import ALPACA, BELOW, form_of
from expctl.data.images import COLUMNS as IMAGE_COLUMNS
from expctl.data.reading import first_rows, header
from expctl.data.shape import Place, Row, RowError, Shape, shaped
from expctl.data.source import Source, UnreadableError

MOST_ROWS = 100
MOST_CHARACTERS = 1 << 20
# Of several files only some are looked at, and of all but the first of these only so many rows.
FEW_ROWS = 10


def columns_of(source: Source) -> list[str]:
    """Names of the columns, in their order, and of those that edits make. Empty where there is no row.

    Raises:
        ValueError: the beginning cannot be read.
    """
    return list(dict.fromkeys([*_own_columns(source), *source.edits.made]))


def check_edits(source: Source) -> None:
    """Raise ValueError, which begins with the key, where an edit cannot be made or names a column that is not there."""
    source.edits.check(_own_columns(source))


def _own_columns(source: Source) -> list[str]:
    """Names of the columns of the data; of JSON, the keys of the first rows."""
    names: dict[str, None] = {}
    with naming(source):
        for file in _looked_at(source.files):
            if format_of(file) != "json":
                with source.naming(file):
                    names |= dict.fromkeys(header(file))
    return list(names | dict.fromkeys(name for _, row in _read_head(source, MOST_ROWS)[0] for name in row))


def is_empty(source: Source) -> bool:
    """Whether there is no row; a CSV file with a header alone is empty. Raises as `columns_of`."""
    with naming(source):
        return next(source.first_rows(), None) is None


def head(source: Source, *, most: int = MOST_ROWS) -> tuple[list[tuple[Place, Row]], bool]:
    """The first rows with their places, edited, of at most `most` of a file and a million characters; and if it is all.

    Raises as `columns_of`.
    """
    rows, whole = _read_head(source, most)
    with naming(source):
        return list(source.edits.rows(rows)), whole


def _read_head(source: Source, most: int) -> tuple[list[tuple[Place, Row]], bool]:
    """As `head`, without edits."""
    looked_at = _looked_at(source.files)
    rows: list[tuple[Place, Row]] = []
    whole = len(looked_at) == len(source.files)
    with naming(source):
        for file in looked_at:
            with source.naming(file):
                beginning, complete = _beginning(file, min(most, FEW_ROWS) if rows else most)
            rows += [(source.place(file, number), row) for number, row in beginning]
            whole = whole and complete
    return rows, whole


def shape_of(
    source: Source,
    *,
    kind: str,
    columns: dict[str, str],
    conversational: bool = False,
    system_prompt: str | None = None,
) -> Shape:
    """What the rows are made of, by the columns and the first row.

    Raises as `columns_of`; ValueError where a column is missing.
    """
    check_edits(source)
    existing = columns_of(source)
    with naming(source):
        _, first = next(source.first_rows(), (0, {}))
    if kind == PROMPT_COMPLETION and isinstance(first.get("label"), bool) and source.edits.filter is None:
        raise ValueError(
            f"{source.where} says by its column 'label' which completions are wanted, and all would be trained on.\n"
            "dataset.filter=label, or dataset.filter=true for all"
        )
    mapped = source.edits.unmade(columns)
    form = form_of(kind, existing, first, mapped)
    made_of = sources(existing, first, kind=form, columns=mapped, where=source.where)
    below = BELOW if made_of.get("prompt") in ALPACA["prompt"] and BELOW in existing else None
    sees = any(name in existing for name in IMAGE_COLUMNS)
    folder = source.files[0].parent.absolute() if sees else None
    return Shape(form, made_of, conversational, wanted=kind, below=below, system_prompt=system_prompt, folder=folder)


def check_first_rows(source: Source, shape: Shape) -> list[str]:
    """The columns of the first rows as the trainer takes them. Raise ValueError where one of them cannot be one."""
    rows, whole = head(source)
    with naming(source):
        return list(dict.fromkeys(name for row in shaped(rows, shape, whole=whole) for name in row))


@contextmanager
def naming(source: Source) -> Iterator[None]:
    """What is wrong with the data or one of their rows is raised as a ValueError that begins with key and path."""
    try:
        yield
    except (RowError, UnreadableError) as error:
        raise ValueError(f"{source.where}: {error}") from error


def _beginning(file: Path, most: int) -> tuple[list[tuple[int, Row]], bool]:
    rows: list[tuple[int, Row]] = []
    characters = 0
    for number, row in islice(first_rows(file), most + 1):
        if len(rows) == most or characters > MOST_CHARACTERS:
            return rows, False
        rows.append((number, row))
        characters += sum(len(cell) if isinstance(cell, str) else len(str(cell)) for cell in row.values())
    return rows, True


def _looked_at(files: tuple[Path, ...]) -> list[Path]:
    """All of a few files; of many the first two, that in the middle and the last."""
    if len(files) <= 4:
        return list(files)
    return [files[0], files[1], files[len(files) // 2], files[-1]]
