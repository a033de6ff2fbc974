"""Rows of a file as a `datasets.Dataset`: types that hold every cell as it is, in a cache that follows the content."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from datasets import Dataset, Features, Json

Row = dict[str, Any]
_ROWS_AT_ONCE = 1000
_LARGE = 1 << 28  # bytes
_NO_COMMON_TYPE = (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError)


def table(rows: Callable[[], Iterable[Row]], files: tuple[Path, ...], *options: Any) -> Dataset:
    """The dataset of the rows that `rows()` gives, each time it is called.

    A column of different types (a number here, a text there) gives back each cell as it was, by the type `Json`.

    Args:
        rows: called twice, for the types and for the content.
        files: where they come from.
        options: what else decides the rows.

    Raises:
        ValueError: from `rows`.
    """
    features = features_of(rows())
    # Named by the content: neither an older file of this name nor an older way to read it is taken from the cache.
    name = hashlib.sha256(
        repr(([_digest(file) for file in files], options, features, _own_source())).encode()
    ).hexdigest()[:32]
    return Dataset.from_generator(partial(completed, rows, features), features=features, fingerprint=name)


def completed(rows: Callable[[], Iterable[Row]], features: Features) -> Iterator[Row]:
    """Every row with all columns, and with JSON for a cell of the type `Json`, which takes a text for JSON."""
    for row in rows():
        cells = {name: row.get(name) for name in features}
        for name, cell in cells.items():
            if cell is not None and isinstance(features[name], Json):
                cells[name] = json.dumps(cell)
        yield cells


def features_of(rows: Iterable[Row]) -> Features:
    """The type of each column that holds all of its cells."""
    types: dict[str, pyarrow.DataType | None] = {}
    batches = iter(rows)
    for batch in iter(lambda: list(islice(batches, _ROWS_AT_ONCE)), []):
        for name in dict.fromkeys(name for row in batch for name in row):
            cells = [row.get(name) for row in batch]
            types[name] = _common(types.get(name, pyarrow.null()), _type(cells))
    typed = {name: type_ for name, type_ in types.items() if type_ is not None}
    features = Features.from_arrow_schema(pyarrow.schema(typed))
    return Features({name: features.get(name, Json()) for name in types})


def _type(cells: list[Any]) -> pyarrow.DataType | None:
    """The type of these cells, or None where they have none in common."""
    try:
        return pyarrow.array(cells).type
    except _NO_COMMON_TYPE:
        return None


def _common(first: pyarrow.DataType | None, second: pyarrow.DataType | None) -> pyarrow.DataType | None:
    if first is None or second is None:
        return None
    schemas = [pyarrow.schema([("column", type_)]) for type_ in (first, second)]
    try:
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field("column").type
    except _NO_COMMON_TYPE:
        return None


def _digest(file: Path) -> str:
    """What a file holds; of a large one where it is and when it was changed, which does not take minutes to tell."""
    stat = file.stat()
    if stat.st_size > _LARGE:
        return f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@cache
def _own_source() -> str:
    """What the code of this folder is now."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
