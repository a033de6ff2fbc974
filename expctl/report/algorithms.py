"""The table of `expctl list algorithm`."""

from collections.abc import Sequence
from typing import Any

# What is asked of an option, in the order of the columns; the last ones are given up first where there is no room.
COLUMNS = ("algorithm", "status", "data", "exact", "checked", "paper")
TITLES = {"exact": "resumes", "does": "what it does"}
SAID = {"exact": "exactly", "checked": "yes"}
# Columns of a terminal that what a method does has at least.
LEAST = 36


def algorithm_lines(rows: Sequence[dict[str, Any]], width: int | None = None) -> list[str]:
    """A head and a line for each option, no wider than `width`, with a note on what there was no room for."""
    cells = {column: [_cell(row, column) for row in rows] for column in COLUMNS}
    widths = {column: max(map(len, [TITLES.get(column, column), *cells[column]])) for column in COLUMNS}
    shown = list(COLUMNS)
    while width is not None and len(shown) > 1 and sum(widths[name] + 2 for name in shown) + LEAST > width:
        shown.pop()
    lines = []
    head = {column: TITLES.get(column, column) for column in (*COLUMNS, "does")}
    for row in (head, *rows):
        texts = [_cell(row, column).ljust(widths[column]) for column in shown]
        line = "  ".join([*texts, _does(row)]).rstrip()
        lines.append(line if width is None or len(line) <= width else line[: width - 1] + "…")
    hidden = [TITLES.get(column, column) for column in COLUMNS if column not in shown]
    if hidden:
        lines.append(f"(no room for {', '.join(hidden)}: a wider terminal, or --json)")
    return [*lines, *_reasons(rows)]


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if isinstance(value, bool):
        return SAID[column] if value else "no"
    return str(value or "")


def _reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why some are not resumed exactly, or not checked: a line for each reason, with the options that it holds for."""
    names: dict[str, list[str]] = {}
    for row in rows:
        for sentence in dict.fromkeys([*row["inexact"], *row["unchecked"]]):
            names.setdefault(sentence, []).append(row["algorithm"])
    return [f"{', '.join(affected)}: {sentence}" for sentence, affected in names.items()]


def _does(row: dict[str, Any]) -> str:
    does = str(row["does"] or "")
    return f"{does}  ({row['file']})" if row.get("status") in ("yours", "unreadable") else does
