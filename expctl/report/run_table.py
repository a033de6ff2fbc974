"""Runs as a table for pandas and papers: a line a run, a column a setting or metric, as CSV or Parquet."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expctl.base.plain_data import is_number
from expctl.base.refusal import Refusal
from expctl.runs.files import write_whole

FORMATS = (".csv", ".parquet")
Facts = Mapping[str, Any]


def refuse_unwritable(path: Path, typed: str) -> None:
    """Before anything is read. Raises Refusal: another format, or a place that cannot be written."""
    where = f"--table {typed} (command line)"
    if path.suffix not in FORMATS:
        raise Refusal(f"'{path.name}' is no name of a table", where=where, do="FILE.csv or FILE.parquet")
    if path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise Refusal(f"{path} cannot be written", where=where, do="name a file in a folder of your own")


def write_table(path: Path, runs: Sequence[Facts]) -> int:
    """Write the runs; the number of columns. Lists are texts of JSON.

    Raises:
        OSError: it cannot be written; a file that was there before stays.
    """
    names = list(dict.fromkeys(name for facts in runs for name in facts))
    columns = {name: [_plain(facts.get(name)) for facts in runs] for name in names}
    if path.suffix == ".csv":
        write_whole(path, _csv(columns, len(runs)))
    else:
        _write_parquet(path, columns)
    return len(columns)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool) or is_number(value) else json.dumps(value)


def _csv(columns: Mapping[str, list[Any]], rows: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([values[row] for values in columns.values()] for row in range(rows))
    return text.getvalue()


def _write_parquet(path: Path, columns: Mapping[str, list[Any]]) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({name: pyarrow.array(*_typed(values)) for name, values in columns.items()})
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pyarrow.parquet.write_table(table, aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _typed(values: list[Any]) -> tuple[list[Any], str]:
    """The values as one type: where runs have several, or whole numbers are too long, as numbers or as texts."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return values, "bool"
    if there and all(
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 for value in there
    ):
        return values, "int64"
    if there and all(map(is_number, there)):
        return [None if value is None else float(value) for value in values], "float64"
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return texts, "string"
