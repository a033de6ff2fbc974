"""Runs as lines: a table that fits the terminal, or one line a run for other programs."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from expctl.base.plain_data import number
from expctl.base.printable import printable, shortened
from expctl.report.number import rounded
from expctl.runs.filters import text_of

Facts = Mapping[str, Any]
GAP = 2
_COLOURS = {"completed": 32, "running": 36, "interrupted": 33, "failed": 31, "broken": 31}
# What is given up first where there is no room for all: the keys beyond the second that differ, the age, these two.
KEPT_DIFFERENCES = 2
# A longer value is cut, with a note.
LONGEST_CELL = 300


def cell(facts: Facts, column: str, now: datetime | None = None) -> str:
    """What stands in a column: a fact as text; `progress` and `age` are made of several."""
    if column == "progress":
        return _progress(facts.get("step"), number(facts.get("steps")))
    if column == "age":
        return _age(facts.get("ended") or facts.get("started"), now or datetime.now(UTC))
    value = facts.get(column)
    if value is None:
        return ""
    # Made printable here, so that the widths of columns are those of what is printed.
    text = rounded(value) if isinstance(value, float) else " ".join(text_of(value).split())
    return printable(shortened(text, LONGEST_CELL))


def _progress(step: Any, steps: float | None) -> str:
    if step is None:
        return ""
    return f"{step}/{steps}" if steps is not None and steps > 0 else f"{step}"


def table(
    runs: list[Facts], columns: list[str], differing: list[str], *, width: int, colour: bool
) -> tuple[list[str], list[str]]:
    """Lines with a head, no wider than `width`, and the columns that there was no room for.

    `differing`: the last of the columns, which are given up first.
    """
    titles = {column: printable(shortened(title, LONGEST_CELL)) for column, title in _titles(columns, runs).items()}
    now = datetime.now(UTC)
    cells = {column: [cell(facts, column, now) for facts in runs] for column in columns}
    widths = {column: max(len(titles[column]), *map(len, cells[column])) for column in columns}
    left_out = _too_many(columns, differing, widths, width)
    shown = [column for column in columns if column not in left_out]
    right = {column for column in shown if all(_looks_like_a_number(text) for text in cells[column])}
    lines = [_line([titles[column] for column in shown], shown, widths, right, width)]
    for row, facts in enumerate(runs):
        line = _line([cells[column][row] for column in shown], shown, widths, right, width)
        lines.append(_coloured(line, facts.get("status")) if colour else line)
    return lines, left_out


def as_tree(runs: list[Facts], *, indented: bool) -> list[Facts]:
    """The runs with those that have started from a run's weights below it, in their order otherwise.

    `indented`: the run's name is indented by how far it is from the first that is listed.
    """
    listed = {facts["run"] for facts in runs}
    below: dict[str | None, list[Facts]] = {}
    for facts in runs:
        earlier = facts.get("started_from")
        below.setdefault(earlier if earlier in listed and earlier != facts["run"] else None, []).append(facts)
    tree: list[Facts] = []
    waiting = [(0, facts) for facts in reversed(below.get(None, []))]
    while waiting:
        depth, facts = waiting.pop()
        branch = f"{'   ' * (depth - 1)}└─ " if depth and indented else ""
        tree.append({**facts, "run": f"{branch}{facts['run']}"})
        waiting += [(depth + 1, later) for later in reversed(below.pop(facts["run"], []))]
    return tree


def lines_for_programs(runs: list[Facts], columns: list[str], differing: list[str]) -> list[str]:
    """A line a run, columns apart by tabs; the keys that differ are `key=value` in the last one."""
    lines = []
    for facts in runs:
        cells = [cell(facts, column) for column in columns]
        if differing:
            cells.append(" ".join(f"{key}={cell(facts, key)}" for key in differing if facts.get(key) is not None))
        lines.append("\t".join(cells))
    return lines


def _titles(columns: list[str], runs: list[Facts]) -> dict[str, str]:
    """A key is called after its last part where only one is called so, the objective by its name."""
    lasts = [re.sub(r".*\.(?=[^_])", "", column) for column in columns]
    titles = {key: last if lasts.count(last) == 1 else key for key, last in zip(columns, lasts, strict=True)}
    names = {facts["objective_name"] for facts in runs if facts.get("objective_name")}
    if "objective" in titles and len(names) == 1:
        titles["objective"] = str(*names)
    better = {"progress": "step", "objective_name": "of"}
    return titles | {key: title for key, title in better.items() if key in titles and title not in titles}


def _too_many(columns: list[str], differing: list[str], widths: dict[str, int], width: int) -> list[str]:
    """The columns to leave out so that the others fit."""
    order = [*reversed(differing[KEPT_DIFFERENCES:]), "age", *reversed(differing[:KEPT_DIFFERENCES])]
    left_out: list[str] = []
    for column in [column for column in order if column in columns]:
        if sum(widths[kept] + GAP for kept in columns if kept not in left_out) - GAP <= width:
            break
        left_out.append(column)
    return [column for column in columns if column in left_out]


def _line(texts: list[str], columns: list[str], widths: dict[str, int], right: set[str], width: int) -> str:
    padded = [
        text.rjust(widths[column]) if column in right else text.ljust(widths[column])
        for text, column in zip(texts, columns, strict=True)
    ]
    line = (" " * GAP).join(padded).rstrip()
    return line if len(line) <= width else line[: max(width - 1, 1)] + "…"


def _coloured(line: str, status: Any) -> str:
    code = _COLOURS.get(status)
    if code is None or os.environ.get("NO_COLOR"):
        return line
    return line.replace(status, f"\033[{code}m{status}\033[0m", 1)


def _looks_like_a_number(text: str) -> bool:
    return not text.strip("0123456789.+-e/ ") or text in ("nan", "inf", "-inf")


def _age(moment: Any, now: datetime) -> str:
    """`3 min` since a moment of a manifest; nothing where it is none."""
    try:
        seconds = (now - datetime.fromisoformat(moment)).total_seconds()
    except (TypeError, ValueError):
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
