"""Look at the beginning of a data file: its columns and first rows. Without `datasets`, for the parent."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from expctl.data.columns import sources
from expctl.data.formats import UNREADABLE, data_file, ending, format_of
from expctl.data.reading import Row, first_rows, header
from expctl.data.shape import RowError, Shape, shaped

MOST_ROWS = 100
MOST_CHARACTERS = 1 << 20


def columns_of(path: str, *, key: str = "dataset.path") -> list[str]:
    """Names of the columns, in their order; of JSON, the keys of the first rows. Empty where the file has no row.

    Raises:
        FileNotFoundError, ValueError: from `data_file`; ValueError also where the beginning cannot be read.
    """
    file = data_file(path, key=key)
    if format_of(file) != "json":
        with naming(path, key):
            return header(file)
    return list(dict.fromkeys(name for _, row in head(path, key=key)[0] for name in row))


def is_empty(path: str, *, key: str = "dataset.path") -> bool:
    """Whether the file has no row; a CSV file with a header alone is empty. Raises as `columns_of`."""
    return not head(path, key=key, most=1)[0]


def head(path: str, *, key: str = "dataset.path", most: int = MOST_ROWS) -> tuple[list[tuple[int, Row]], bool]:
    """The first rows with their numbers, at most `most` and about a million characters; and whether these are all.

    Raises as `columns_of`.
    """
    file = data_file(path, key=key)
    rows: list[tuple[int, Row]] = []
    characters = 0
    with naming(path, key):
        for number, row in islice(first_rows(file), most + 1):
            if len(rows) == most or characters > MOST_CHARACTERS:
                return rows, False
            rows.append((number, row))
            characters += sum(len(cell) if isinstance(cell, str) else len(str(cell)) for cell in row.values())
    return rows, True


def shape_of(path: str, *, key: str, kind: str, columns: dict[str, str], conversational: bool = False) -> Shape:
    """What the rows of a file are made of, by its columns and first row.

    Raises as `columns_of`; ValueError where a column is missing.
    """
    rows, _ = head(path, key=key, most=1)
    first = rows[0][1] if rows else {}
    made_of = sources(columns_of(path, key=key), first, kind=kind, columns=columns, where=f"{key}={path}")
    return Shape(kind, made_of, conversational)


def check_first_rows(path: str, shape: Shape, *, key: str) -> None:
    """Raise ValueError where one of the first rows cannot be what the trainer takes."""
    rows, whole = head(path, key=key)
    with naming(path, key):
        for _ in shaped(rows, shape, whole=whole):
            pass


@contextmanager
def naming(path: str, key: str) -> Iterator[None]:
    """What is wrong with a file or one of its rows is raised as a ValueError that begins with the key and the path."""
    try:
        yield
    except RowError as error:
        raise ValueError(f"{key}={path}: {error}") from error
    except UNREADABLE as error:
        kind = ending(data_file(path, key=key))[1:]
        raise ValueError(f"{key}={path}: not a valid {kind} file: {error}") from error
