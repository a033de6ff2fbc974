"""`expctl ls [filters]`: list the runs of the outputs folder as a table, as lines or as JSON."""

import math
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from expctl.base.paths import outputs_root
from expctl.base.plain_data import is_number
from expctl.base.printable import shortened, unfiltered
from expctl.base.refusal import Refusal
from expctl.cli.options import take
from expctl.report.json_text import json_text
from expctl.report.listing import as_tree, lines_for_programs, table
from expctl.runs.catalogue import catalogue, names
from expctl.runs.difference import differing
from expctl.runs.filters import parse, require_known, text_of
from expctl.runs.manifest import BROKEN

USAGE = "expctl ls [FILTER ...] [--sort KEY,-KEY] [--columns KEY,KEY] [--limit N] [--all] [--tree] [--json]"
COLUMNS = ["run", "status", "progress", "objective", "age"]
FOR_PROGRAMS = ["run", "status", "progress", "objective_name", "objective", "ended", "alerts"]
# Columns that are computed from several facts.
COMPUTED = ("progress", "age")
MOST_NOTES, LONGEST_NOTE = 5, 400
# More keys than these do not help to tell runs apart.
MOST_DIFFERENCES = 40

Facts = Mapping[str, Any]


def main(words: list[str]) -> int:
    """List the runs that match every filter, the latest first; 0 also when none does."""
    options, filters = take(
        words, flags=("--all", "--json", "--tree"), valued=("--sort", "--columns", "--limit"), usage=USAGE
    )
    outputs = outputs_root()
    listed = catalogue(outputs, everything="--all" in options)
    known = names(listed) if listed else None
    matches = parse(filters, known)
    runs: list[Facts] = [facts for _, facts in listed if matches(facts)]
    runs = _sorted(runs, options.get("--sort"), known)
    limit = _limit(options.get("--limit"))
    shown = runs[: limit or None]
    columns = _columns(options.get("--columns"), known)
    if "--tree" in options:
        shown = as_tree(shown, indented="--json" not in options)
    if "--json" in options:
        print(json_text([{name: facts.get(name) for name in columns or facts} for facts in shown]))
        return 0
    if not runs:
        print(_no_runs(outputs, len(listed)), file=sys.stderr)
    elif sys.stdout.isatty():
        _print_table(shown if limit is not None else shown[: _height()], len(runs), columns)
    else:
        differences = [] if columns else differing(shown)[:MOST_DIFFERENCES]
        print("\n".join(lines_for_programs(shown, columns or FOR_PROGRAMS, differences)))
    _print_notes(shown)
    return 0


def _print_table(shown: list[Facts], total: int, columns: list[str] | None) -> None:
    differences = [] if columns else differing(shown)[:MOST_DIFFERENCES]
    columns = [*(columns or _default_columns(shown)), *differences]
    lines, left_out = table(shown, columns, differences, width=shutil.get_terminal_size().columns, colour=True)
    print("\n".join(lines), file=unfiltered(sys.stdout))  # in colours; the cells are printable already
    notes = []
    if len(shown) < total:
        notes.append(f"{len(shown):,} of {total:,} runs; --limit 0 shows all")
    if left_out:
        notes.append(shortened(f"no room for: {', '.join(left_out)}", LONGEST_NOTE))
    if notes:
        print("\n" + "\n".join(notes))


def _default_columns(shown: list[Facts]) -> list[str]:
    """With the alerts where any run has some, and the objective's name where runs have different ones."""
    objectives = {facts["objective_name"] for facts in shown if facts.get("objective_name")}
    names = ["objective_name"] if len(objectives) > 1 else []
    alerts = ["alerts"] if any(facts.get("alerts") for facts in shown) else []
    return [*COLUMNS[:4], *names, *COLUMNS[4:], *alerts]


def _height() -> int:
    """How many runs fit on the screen beside the head, the closing lines and the prompt."""
    return max(10, shutil.get_terminal_size().lines - 5)


def _sorted(runs: list[Facts], keys: str | None, known: set[str] | None) -> list[Facts]:
    """By the keys, the first counting most, `-` for the largest first; runs without a value come last."""
    if keys is None:
        return sorted(runs, key=lambda facts: text_of(facts.get("ended") or facts.get("started") or ""), reverse=True)
    for word in reversed(keys.split(",")):
        key = word.removeprefix("-")
        if known is not None:
            require_known(key, known, f"--sort {word}")
        runs = _sorted_by(key, runs, descending=word.startswith("-"))
    return runs


def _sorted_by(key: str, runs: list[Facts], *, descending: bool) -> list[Facts]:
    having = [facts for facts in runs if _sortable(facts.get(key))]
    lacking = [facts for facts in runs if not _sortable(facts.get(key))]
    return sorted(having, key=lambda facts: _rank(facts[key]), reverse=descending) + lacking


def _sortable(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _rank(value: Any) -> tuple[bool, float, str]:
    """A sort key: numbers come first, then texts."""
    return (False, value, "") if is_number(value) else (True, 0.0, text_of(value))


def _columns(word: str | None, known: Iterable[str] | None) -> list[str] | None:
    columns = word.split(",") if word else None
    for column in columns or ():
        if known is not None:
            require_known(column, {*known, *COMPUTED}, f"--columns {word}")
    return columns


def _limit(word: str | None) -> int | None:
    if word is None:
        return None
    if not word.isdecimal():
        raise Refusal(f"--limit needs a whole number, got '{word}'", where=f"--limit {word} (command line)", do=USAGE)
    return int(word)


def _no_runs(outputs: Path, total: int) -> str:
    """Why nothing is listed: no run matches the filters, or there is none."""
    folder = outputs.relative_to(Path.cwd()) if outputs.is_relative_to(Path.cwd()) else outputs
    if total:
        return f"No runs match ({total:,} run{'s' if total > 1 else ''} in {folder}/)"
    return f"No runs in {folder}/ yet: expctl without words makes one; EXPCTL_OUTPUTS names another folder"


def _print_notes(runs: list[Facts]) -> None:
    """Say why cells are empty: damaged files of the listed runs, and objectives that were not measured."""
    notes = [f"{facts['run']}: {facts['error']}" for facts in runs if facts["status"] == BROKEN]
    notes += [f"{facts['run']}: {facts['damaged']}" for facts in runs if facts.get("damaged")]
    notes += [f"{facts['run']}: no objective: {facts['no_objective']}" for facts in runs if facts.get("no_objective")]
    for note in notes[:MOST_NOTES]:
        print(f"note: {shortened(note, LONGEST_NOTE)}", file=sys.stderr)
    if len(notes) > MOST_NOTES:
        print(f"note: and {len(notes) - MOST_NOTES:,} more notes", file=sys.stderr)
