"""Look at the beginning of a data file: its columns, and whether it is empty. Without `datasets`, for the parent."""

import csv
import difflib
import itertools
import json
from pathlib import Path

FORMATS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
_JSON_BEGINNING = 1 << 20  # characters read of a .json list to find its first object


def data_file(path: str, *, key: str = "dataset.path") -> Path:
    """The data file at `path`.

    Args:
        path: of a file in one of `FORMATS`; `~` is the home folder.
        key: the config key that holds it, for the message.

    Raises:
        FileNotFoundError: no such file; names the nearest one in its folder.
        ValueError: a folder, or an extension that is not read.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        inside = sorted(entry.name for entry in file.iterdir() if entry.suffix in FORMATS)
        raise ValueError(
            f"{key}={path} is a folder; name one file in it ({', '.join(inside[:8]) or 'it has no data file'})."
        )
    if not file.exists():
        raise FileNotFoundError(f"{key}={path}: no such file. {_nearest(file)}")
    if file.suffix not in FORMATS:
        raise ValueError(f"{key}={path}: '{file.suffix}' is not read; {', '.join(FORMATS)} are.")
    return file


def columns_of(path: str, *, key: str = "dataset.path") -> list[str]:
    """Names of the columns, in their order; of JSON, the keys of the first row. Empty where the file has no row.

    Raises:
        FileNotFoundError, ValueError: from `data_file`; ValueError also where the beginning cannot be read.
    """
    file = data_file(path, key=key)
    try:
        return _COLUMNS[FORMATS[file.suffix]](file)
    except (ValueError, csv.Error, OSError) as error:
        raise ValueError(f"{key}={path}: not a valid {file.suffix[1:]} file: {error}") from error


def is_empty(path: str, *, key: str = "dataset.path") -> bool:
    """Whether the file has no row; a CSV file with a header alone is empty. Raises as `columns_of`."""
    file = data_file(path, key=key)
    if FORMATS[file.suffix] == "csv":
        with _open_text(file) as lines:
            return len(list(itertools.islice(_csv_rows(file, lines), 2))) < 2
    if FORMATS[file.suffix] == "parquet":
        return _parquet(file).metadata.num_rows == 0
    return not columns_of(path, key=key)


def _open_text(file: Path):
    return file.open(encoding="utf-8-sig", newline="")


def _csv_rows(file: Path, lines):
    return filter(None, csv.reader(lines, delimiter="\t" if file.suffix == ".tsv" else ","))


def _csv_columns(file: Path) -> list[str]:
    with _open_text(file) as lines:
        return next(_csv_rows(file, lines), [])


def _json_columns(file: Path) -> list[str]:
    with _open_text(file) as lines:
        if file.suffix == ".json" and (beginning := lines.read(_JSON_BEGINNING).lstrip()).startswith("["):
            return _keys(_first_object(beginning, file))
        lines.seek(0)
        first = next((line for line in lines if line.strip()), None)
    return [] if first is None else _keys(json.loads(first))


def _first_object(beginning: str, file: Path):
    """The first element of a JSON list, without reading a large file to its end."""
    inside = beginning[1:].lstrip()
    if inside.startswith("]"):
        return {}
    try:
        return json.JSONDecoder().raw_decode(inside)[0]
    except json.JSONDecodeError:
        return next(iter(json.loads(file.read_text(encoding="utf-8-sig"))), {})


def _keys(row) -> list[str]:
    if not isinstance(row, dict):
        raise ValueError(f'its rows must be objects such as {{"prompt": ...}}; the first is a {type(row).__name__}')
    return list(row)


def _parquet(file: Path):
    # The one import here that is not the standard library's (0.15 s), for the one format that needs it.
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(file)


def _parquet_columns(file: Path) -> list[str]:
    return _parquet(file).schema_arrow.names


_COLUMNS = {"csv": _csv_columns, "json": _json_columns, "parquet": _parquet_columns}


def _nearest(file: Path) -> str:
    if not file.parent.is_dir():
        return f"{file.parent} does not exist either."
    names = [entry.name for entry in file.parent.iterdir() if entry.suffix in FORMATS]
    nearest = difflib.get_close_matches(file.name, names, n=1)
    if nearest:
        return f"Did you mean {file.parent / nearest[0]}?"
    return f"A relative path starts at the working folder, {Path.cwd()}."
