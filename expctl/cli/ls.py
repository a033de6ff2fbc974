"""`expctl ls [filters]`: the runs of the outputs folder, as a table, as lines or as JSON."""

import math
import os
import shutil
import sys
from collections.abc import Iterable
from typing import Any

from expctl.base.paths import outputs_root
from expctl.base.printable import shortened, unfiltered
from expctl.base.refusal import Refusal
from expctl.cli.options import take
from expctl.report.json_text import json_text
from expctl.report.listing import lines_for_programs, table
from expctl.runs.catalogue import catalogue, names
from expctl.runs.difference import differing
from expctl.runs.filters import is_number, parse, require_known, text_of
from expctl.runs.manifest import BROKEN

USAGE = "expctl ls [FILTER ...] [--sort KEY,-KEY] [--columns KEY,KEY] [--limit N] [--all] [--json]"
COLUMNS = ["run", "status", "progress", "objective", "age"]
FOR_PROGRAMS = ["run", "status", "progress", "objective_name", "objective", "ended", "alerts"]
# Made of several facts.
MADE = ("progress", "age")
MOST_NOTES, LONGEST_NOTE = 5, 400
# More keys than that are no help in telling runs apart.
MOST_DIFFERENCES = 40

Facts = dict[str, Any]


def main(words: list[str]) -> int:
    """List the runs that every filter is true of, the latest first; 0 also when there is none."""
    options, filters = take(words, flags=("--all", "--json"), valued=("--sort", "--columns", "--limit"), usage=USAGE)
    outputs = outputs_root()
    everything = catalogue(outputs, everything="--all" in options)
    known = names(everything) if everything else None
    fits = parse(filters, known)
    runs = [facts for _, facts in everything if fits(facts)]
    runs = _sorted(runs, options.get("--sort"), known)
    limit = _limit(options.get("--limit"))
    shown = runs[: limit or None]
    columns = _columns(options.get("--columns"), known)
    if "--json" in options:
        print(json_text([{name: facts.get(name) for name in columns or facts} for facts in shown]))
        return 0
    if not runs:
        print(_nothing(outputs, len(everything)), file=sys.stderr)
    elif sys.stdout.isatty():
        _print_table(shown if limit is not None else shown[: _height()], len(runs), columns)
    else:
        differ = [] if columns else differing(shown)[:MOST_DIFFERENCES]
        print("\n".join(lines_for_programs(shown, columns or FOR_PROGRAMS, differ)))
    _print_notes(shown)
    return 0


def _print_table(shown: list[Facts], total: int, columns: list[str] | None) -> None:
    differ = [] if columns else differing(shown)[:MOST_DIFFERENCES]
    columns = [*(columns or _default_columns(shown)), *differ]
    lines, left_out = table(shown, columns, differ, width=shutil.get_terminal_size().columns, colour=True)
    print("\n".join(lines), file=unfiltered(sys.stdout))  # in colours, of cells that are printable already
    notes = [f"{len(shown):,} of {total:,} runs; --limit 0 shows all"] if len(shown) < total else []
    notes += [shortened(f"no room for: {', '.join(left_out)}", LONGEST_NOTE)] if left_out else []
    if notes:
        print("\n" + "\n".join(notes))


def _default_columns(shown: list[Facts]) -> list[str]:
    """With what any of them was warned of, and the objective's name where there are several: not to be compared."""
    objectives = {facts["objective_name"] for facts in shown if facts.get("objective_name")}
    names = ["objective_name"] if len(objectives) > 1 else []
    alerts = ["alerts"] if any(facts.get("alerts") for facts in shown) else []
    return [*COLUMNS[:4], *names, *COLUMNS[4:], *alerts]


def _height() -> int:
    """As many runs as leave the head, the closing lines and the prompt on the screen."""
    return max(10, shutil.get_terminal_size().lines - 5)


def _sorted(runs: list[Facts], keys: str | None, known: set[str] | None) -> list[Facts]:
    """By the keys, the first counting most, `-` for the largest first; runs that have no such number come last."""
    if keys is None:
        return sorted(runs, key=lambda facts: text_of(facts.get("ended") or facts.get("started") or ""), reverse=True)
    for word in reversed(keys.split(",")):
        key, descending = word.removeprefix("-"), word.startswith("-")
        if known is not None:
            require_known(key, known, f"--sort {word}")
        having = [facts for facts in runs if _sortable(facts.get(key))]
        lacking = [facts for facts in runs if not _sortable(facts.get(key))]
        runs = sorted(having, key=lambda facts: _rank(facts[key]), reverse=descending) + lacking  # noqa: B023 - used at once
    return runs


def _sortable(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _rank(value: Any) -> tuple[bool, float, str]:
    """Numbers among themselves, then texts."""
    return (False, value, "") if is_number(value) else (True, 0.0, text_of(value))


def _columns(word: str | None, known: Iterable[str] | None) -> list[str] | None:
    columns = word.split(",") if word else None
    for column in columns or ():
        if known is not None:
            require_known(column, {*known, *MADE}, f"--columns {word}")
    return columns


def _limit(word: str | None) -> int | None:
    if word is None:
        return None
    if not word.isdecimal():
        raise Refusal(f"--limit needs a whole number, got '{word}'", where=f"--limit {word} (command line)", do=USAGE)
    return int(word)


def _nothing(outputs: os.PathLike, there: int) -> str:
    if there:
        return f"none of the {there:,} runs in {outputs} is so"
    return f"no runs in {outputs} yet; expctl alone makes one, EXPCTL_OUTPUTS names another folder"


def _print_notes(runs: list[Facts]) -> None:
    """What is wrong with the files of the runs that were listed, so that no empty cell misleads."""
    wrong = [f"{facts['run']}: {facts['error']}" for facts in runs if facts["status"] == BROKEN]
    wrong += [f"{facts['run']}: {facts['damaged']}" for facts in runs if facts.get("damaged")]
    wrong += [f"{facts['run']}: no objective: {facts['no_objective']}" for facts in runs if facts.get("no_objective")]
    for note in wrong[:MOST_NOTES]:
        print(f"note: {shortened(note, LONGEST_NOTE)}", file=sys.stderr)
    if len(wrong) > MOST_NOTES:
        print(f"note: and {len(wrong) - MOST_NOTES:,} more runs with damaged files", file=sys.stderr)
