"""One run on a page: what became of it, its metrics as lines of bars, its settings, a few completions."""

import textwrap
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from expctl.base.metric_titles import SHOWN, named, of_set, sets_in
from expctl.base.plain_data import is_number, mapping, number
from expctl.report.clock import clock
from expctl.report.measures import ending_of
from expctl.report.number import rounded
from expctl.report.recorded import commit, machine
from expctl.report.sparkline import sparkline
from expctl.runs.alerts import sentence
from expctl.runs.filters import text_of
from expctl.runs.history import Series
from expctl.runs.records import Manifest

DECISIVE = ("expctl", "trl", "transformers", "torch")
COMMAND_LINE = "command line"
TITLES, NUMBER = ("first", "last", "min", "max"), 11
NARROWEST, WIDEST = 8, 40
# Of a completion as many lines are shown.
MOST_LINES = 4
# A value is cut so that what set it has room.
SHORTEST_VALUE, LONGEST_VALUE = 14, 44


def head_lines(facts: dict[str, Any], manifest: Manifest, folder: Any) -> list[str]:
    """Status, objective, time, place, versions, and everything that a reader of the numbers should know."""
    rows = [("status", _status(facts)), ("name", facts.get("name")), ("error", facts.get("error"))]
    rows += [("damaged", facts.get("damaged")), ("time", _time(manifest)), ("on", _machine(manifest))]
    versions = manifest.versions
    rows.append(("versions", ", ".join(f"{name} {versions[name]}" for name in DECISIVE if versions.get(name))))
    rows += [("code", _code(manifest)), ("folder", folder), ("rerun of", manifest.rerun_of)]
    for alert in manifest.alerts:
        rows += [("alert", sentence(alert)), ("do", alert.do)]
    rows += [("warning", sentence) for sentence in manifest.warnings]
    rows += [("note", sentence) for sentence in manifest.notes]
    rows += [("data changed", sentence) for sentence in manifest.data_changed]
    return [str(facts["run"]), *(f"  {label:<12}{' '.join(str(text).split())}" for label, text in rows if text)]


def attempt_lines(manifest: Manifest) -> list[str]:
    """A line an attempt: when, how long, from which step to which, and how it ended."""
    lines = []
    for attempt_number, attempt in enumerate(manifest.attempts, start=1):
        took = seconds_between(attempt.started, attempt.ended)
        steps = f"step {attempt.from_step} to {text_of(attempt.to_step)}"
        ended = f"signal {attempt.signal}" if attempt.signal else f"exit {text_of(attempt.exit)}"
        lasted = "not ended" if took is None else clock(took)
        lines.append(f"  {attempt_number:<3} {text_of(attempt.started)}  {lasted:>9}  {steps:<18}  {ended}")
    return lines


def metric_lines(metrics: Iterable[Series], width: int) -> list[str]:
    """A line of bars a metric with its first, last, least and greatest value; others in a sentence."""
    sets = sets_in([series.name for series in metrics])
    ordered = sorted(metrics, key=lambda series: _order(of_set(series.name, sets)[1]))
    moving = [series for series in ordered if len(set(series.values)) > 1]
    still = [series for series in ordered if len(set(series.values)) == 1 and len(series.values) > 1]
    once = [series for series in ordered if len(series.values) == 1]
    names = max((len(series.name) for series in moving), default=0)
    room = width - names - 4
    # Where it is narrow, the least and the greatest value are what is done without.
    titles = TITLES if room >= NARROWEST + len(TITLES) * NUMBER else TITLES[:2]
    most_values = max((len(series.values) for series in moving), default=0)
    bars = max(NARROWEST, min(WIDEST, room - len(titles) * NUMBER, most_values))
    lines = []
    for series in moving:
        least, greatest = min(series.known, default=None), max(series.known, default=None)
        numbers = series.values[0], series.values[-1], least, greatest
        cells = "".join(f"{rounded(value):>{NUMBER}}" for value in numbers[: len(titles)])
        lines.append(f"  {series.name:<{names}}  {sparkline(series.values, bars):<{bars}}{cells}")
    if lines:
        lines.insert(0, " " * (names + bars + 4) + "".join(f"{title:>{NUMBER}}" for title in titles))
    for title, listed in (("unchanged", still), ("recorded once", once)):
        if listed:
            values = ", ".join(f"{series.name} {rounded(series.values[0])}" for series in listed)
            lines += _wrapped(f"{title}: {values}", width, "  ", most=None)
    return lines


def config_lines(values: dict[str, Any], origins: dict[str, str], width: int | None) -> list[str]:
    """A line a value, under the first part of its key, with what set it; cut at `width`."""
    origins = {key: _short_origin(origins.get(key, "")) for key in values}
    names = max((len(key.partition(".")[2] or key) for key in values), default=0)
    beside = names + 8 + max(map(len, origins.values()), default=0)
    most = max(SHORTEST_VALUE, min(LONGEST_VALUE, width - beside)) if width else LONGEST_VALUE
    shown = {key: _cut(text_of(value), most) for key, value in values.items()}
    room = max(map(len, shown.values()), default=0)
    lines, group = [], None
    for key, text in shown.items():
        first, _, rest = key.partition(".")
        if rest and first != group:
            lines.append(f"  {first}")
        group = first
        name = f"    {rest:<{names}}" if rest else f"  {key:<{names + 2}}"
        line = f"{name}  {text:<{room}}  {origins[key]}"
        lines.append(_cut(line, width) if width else line)
    return lines


def _short_origin(where: str) -> str:
    """The word that set a key names it once more."""
    return COMMAND_LINE if where.endswith(f"({COMMAND_LINE})") else where


def sample_lines(samples: list[dict[str, Any]], width: int) -> list[str]:
    """The completions of the last step that has any, each below the first one that its prompt ever had."""
    if not samples:
        return []
    last = samples[-1]["step"]
    lines: list[str] = []
    for prompt in dict.fromkeys(row["prompt"] for row in samples if row["step"] == last):
        lines += _wrapped(prompt, width, "  ")
        rows = [row for row in samples if row["prompt"] == prompt]
        first = [row for row in rows if row["step"] == rows[0]["step"] != last]
        for row in [*first[:1], *(row for row in rows if row["step"] == last)]:
            said = [f"{name} {rounded(value)}" for name, value in mapping(row.get("rewards")).items()]
            said += ending_of(row)
            lines.append(f"    step {row['step']}" + (f"  {', '.join(said)}" if said else ""))
            lines += _wrapped(row["completion"], width, "      ")
    return lines


def seconds_between(began: Any, ended: Any) -> float | None:
    """Seconds between two moments of a manifest; None where one of them is none."""
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except (TypeError, ValueError):
        return None


def _status(facts: dict[str, Any]) -> str:
    text = str(facts["status"])
    objective = facts.get("objective")
    if is_number(objective):
        text += f", {facts.get('objective_name')} = {rounded(objective)}"
    elif facts["status"] == "completed":
        reason = facts.get("no_objective")
        text += f", no objective: {reason}" if reason else ", without an objective"
    step, steps = facts.get("step"), facts.get("steps")
    if step is None:
        return text
    return f"{text}, step {step} of {steps}" if is_number(steps) else f"{text}, step {step}"


def _time(manifest: Manifest) -> str:
    took = [seconds_between(attempt.started, attempt.ended) for attempt in manifest.attempts]
    spent = clock(sum(filter(None, took))) if any(seconds is not None for seconds in took) else ""
    began, ended = manifest.started, manifest.ended
    dates = [str(began) if began else "", f"to {ended}" if ended else ""]
    return ", ".join(filter(None, [spent, " ".join(filter(None, dates))]))


def _machine(manifest: Manifest) -> str:
    processes = number(manifest.hardware.get("num_processes")) or 1
    several = f"{processes} processes" if processes > 1 else ""
    return "; ".join(filter(None, [machine(manifest), several]))


def _code(manifest: Manifest) -> str:
    git = f"git {commit(manifest)}" if commit(manifest) else ""
    return ", ".join(filter(None, [git, *(manifest.sources or {})]))


def _order(name: str) -> tuple[int, bool]:
    """What people look at first comes first, the evaluations before the training."""
    evaluated = name.startswith("eval_")
    shown = list(named({name: 0.0}, "eval_" if evaluated else ""))
    known = [rank for rank, (_, title) in enumerate(SHOWN) if shown and title in (shown[0][0], r"\1")]
    return (known[-1] if known else len(SHOWN), not evaluated)


def _wrapped(text: str, width: int, indent: str, most: int | None = MOST_LINES) -> list[str]:
    """Text in at most so many lines; what is left out before the last one is said."""
    room = max(20, width - len(indent))
    lines = [line for part in text.strip().splitlines() for line in textwrap.wrap(part, room, break_on_hyphens=False)]
    if most and len(lines) > most:
        lines = [*lines[: most - 2], f"[... {len(lines) - most + 1} lines ...]", lines[-1]]
    return [f"{indent}{line}" for line in lines] or [f"{indent}(nothing)"]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
