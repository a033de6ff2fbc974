"""The rows of a data file, one after the other and as they are written: text stays text. Torch-free.

CSV and TSV as RFC 4180 has them, JSON and JSON Lines by the standard library, Parquet and Arrow by pyarrow; of plain
text each line that is not blank is a row with the column `text`. No cell is guessed at: `null`, `NA` and `007` of a CSV
file are these texts.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from expctl.data.formats import ending, format_of, not_utf8, open_text

Row = dict[str, Any]
_BEGINNING = 1 << 20  # characters of a JSON list that are enough to look at its first rows
_BATCH = 100  # rows that are made of Parquet and Arrow at a time: the parent asks for the first ones only
_ARROW_FILE = b"ARROW1"
TEXT = "text"
_JSON_FORMS = "A .jsonl file has one object a line, a .json file the same or one list of objects"
csv.field_size_limit(sys.maxsize)  # a cell may be longer than the 128 KiB that are its default


def rows(file: Path) -> Iterator[tuple[int, Row]]:
    """Every row with its number in the file, from 1; a header and blank lines are no rows.

    Raises:
        ValueError, OSError, EOFError: what is wrong with the file and where, without its name.
    """
    try:
        yield from enumerate(_READERS[format_of(file)](file), 1)
    except UnicodeDecodeError as error:
        raise ValueError(not_utf8(file)) from error


def header(file: Path) -> list[str]:
    """The column names that a file begins with, JSON aside; empty for an empty file."""
    if format_of(file) == "parquet":
        return list(_parquet(file).schema_arrow.names)
    if format_of(file) == "arrow":
        with _arrow(file) as opened:
            return list(opened.schema.names)
    if format_of(file) == "text":
        return [TEXT] if next(_text(file), None) else []
    with open_text(file) as lines:
        return _header(next(_csv_records(file, lines), (1, []))[1])


def first_rows(file: Path) -> Iterator[tuple[int, Row]]:
    """As `rows`, for a caller that stops after a few: of a large JSON list only the beginning is read."""
    if ending(file) == ".json" and _is_list(file):
        with open_text(file) as lines:
            beginning = lines.read(_BEGINNING)
        if len(beginning) == _BEGINNING:
            known = list(_whole_objects(beginning))
            # Where the first object alone is longer than the beginning, all is read.
            yield from enumerate(known, 1) if known else rows(file)
            return
    yield from rows(file)


def _whole_objects(beginning: str) -> Iterator[Row]:
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    position = beginning.index("[") + 1
    while True:
        while beginning[position : position + 1] in (" ", "\t", "\r", "\n", ","):
            position += 1
        try:
            row, position = decoder.raw_decode(beginning, position)
        except json.JSONDecodeError:
            return  # cut off
        yield _checked(row)


def _csv(file: Path) -> Iterator[Row]:
    with open_text(file) as lines:
        records = _csv_records(file, lines)
        names = _header(next(records, (1, []))[1])
        for number, (line, cells) in enumerate(records, 1):
            while len(cells) > len(names) and not cells[-1]:
                cells.pop()  # commas at the end of the line
            if len(cells) != len(names):
                raise ValueError(
                    f"row {number} (line {line}) has {_cells(len(cells))} and the header {len(names)}: "
                    f"{','.join(cells)!r:.80}"
                )
            yield dict(zip(names, cells, strict=True))


def _csv_records(file: Path, lines: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record, with the line that it begins in; blank lines are left out."""
    reader = csv.reader(lines, delimiter="\t" if ending(file) == ".tsv" else ",", strict=True)
    width, begins = 0, 1
    try:
        for cells in reader:
            blank = not cells or (len(cells) == 1 and width > 1 and not cells[0].strip())
            if not blank:
                width = width or len(cells)
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"the row that begins in line {begins}: {error}; a quote within quotes is doubled") from error


def _header(names: list[str]) -> list[str]:
    """The names of the columns. Commas at its end name none; a column without a name is named by its position."""
    names = list(names)
    while names and not names[-1]:
        names.pop()
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise ValueError(f"its header is one name, {names[0]!r:.80}; cells end with a comma in .csv, a tab in .tsv")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"it has two columns '{twice[0]}'; give one of them another name")
    return [name or f"Unnamed: {position}" for position, name in enumerate(names)]


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _json(file: Path) -> Iterator[Row]:
    with open_text(file) as lines:
        if _is_list(file):
            yield from map(_checked, _decoded(lines.read(), 1))
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _checked(_decoded(line.strip(), number))


def _is_list(file: Path) -> bool:
    with open_text(file) as lines:
        character = lines.read(1)
        while character.isspace():
            character = lines.read(1)
    return ending(file) == ".json" and character == "["


def _decoded(text: str, line: int) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        rest = text[error.pos :][:40]
        number = line + error.lineno - 1
        raise ValueError(f"line {number} is no JSON: {error.msg} at {rest!r}. {_JSON_FORMS}") from error
    except RecursionError as error:
        raise ValueError(f"line {line} is nested too deep") from error
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> Row:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key '{twice}' twice: {json.dumps(made)[:80]}")
    return made


def _checked(row: Any) -> Row:
    if not isinstance(row, dict):
        raise ValueError(
            f'its rows must be objects such as {{"prompt": ...}}; here is a {type(row).__name__}: {row!r:.60}'
        )
    return row


def _parquet(file: Path) -> Any:
    # Imported here (0.15 s), for the one format that needs it.
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(file)


def _parquet_rows(file: Path) -> Iterator[Row]:
    for batch in _parquet(file).iter_batches(batch_size=_BATCH):
        yield from batch.to_pylist()


def _arrow(file: Path) -> Any:
    """An Arrow stream, as `datasets` writes it, or an Arrow file, which begins with its name."""
    import pyarrow

    mapped = pyarrow.memory_map(str(file))
    is_file = mapped.read(len(_ARROW_FILE)) == _ARROW_FILE
    mapped.seek(0)
    return pyarrow.ipc.open_file(mapped) if is_file else pyarrow.ipc.open_stream(mapped)


def _arrow_rows(file: Path) -> Iterator[Row]:
    with _arrow(file) as opened:
        batches = getattr(opened, "num_record_batches", None)
        # A file gives its batches by number, a stream one after the other.
        for batch in opened if batches is None else map(opened.get_batch, range(batches)):
            for start in range(0, batch.num_rows, _BATCH):
                yield from batch.slice(start, _BATCH).to_pylist()


def _text(file: Path) -> Iterator[Row]:
    with open_text(file) as lines:
        for line in lines:
            if line.strip():
                yield {TEXT: line.rstrip("\r\n")}


_READERS = {"csv": _csv, "json": _json, "parquet": _parquet_rows, "arrow": _arrow_rows, "text": _text}
