"""`expctl show [RUN]`: one run as its files describe it: status, metrics, settings, completions, commands."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from expctl.base.paths import outputs_root
from expctl.base.plain_data import leaves
from expctl.base.printable import printable, shortened
from expctl.base.refusal import Refusal
from expctl.cli.options import take
from expctl.report.json_text import json_text
from expctl.runs import manifest
from expctl.runs.facts import UNDER_WAY, facts
from expctl.runs.files import Run, read_json
from expctl.runs.find import find
from expctl.runs.reading import read_rows
from expctl.runs.records import Manifest

USAGE = "expctl show [RUN] [--samples] [--json]; RUN is an id, the beginning of one, or a path"
WIDTH = 100  # where the output is no terminal
# Runs that expctl made stay below both.
MOST_LINES, LONGEST_LINE = 400, 4000


def main(words: list[str]) -> int:
    """Show the run that is named, else the latest one."""
    options, names = take(words, flags=("--json", "--samples"), usage=USAGE)
    if len(names) > 1:
        raise Refusal("show takes one run", where=f"{shlex.join(names)} (command line)", do=USAGE)
    run = find(names[0]) if names else _latest()
    if "--samples" in options:
        return _show_samples(run, "--json" in options)
    known = _with_damaged_rows(run, facts(run))
    recorded = manifest.recorded(run)
    config = _values(run)
    if "--json" in options:
        print(json_text(_as_data(run, known, recorded, config)))
    else:
        _print_page(run, known, recorded, config)
    return 0


def _show_samples(run: Run, as_json: bool) -> int:
    """The completions alone, whole, and what changed in them."""
    from expctl.runs.history import samples

    rows = samples(run)
    if not rows:
        raise Refusal(
            f"{run.run_id} has kept no completions: it trains on given texts, has not sampled yet, or is an evaluation",
            where="--samples (command line)",
            do="sft and dpo keep those of their evaluations with callbacks=completions; those of an evaluation are in "
            "its completions.jsonl",
        )
    if as_json:
        print(json_text(rows))
    else:
        from expctl.report.samples_view import print_samples

        print_samples(run.run_id, rows)
    return 0


def _latest() -> Run:
    """The run of the outputs folder that started or ended last."""
    from expctl.runs.catalogue import latest

    run = latest(outputs_root())
    if run is None:
        raise Refusal(f"there are no runs in {outputs_root()} yet", where="show (command line)", do=USAGE)
    return run


def _values(run: Run) -> dict[str, Any]:
    """Dotted key -> value of the run's config; empty where it cannot be read, which the facts report."""
    from expctl.runs.bundle import read_config

    try:
        return dict(leaves(read_config(run)))
    except (OSError, ValueError, AttributeError):
        return {}


def _with_damaged_rows(run: Run, known: dict[str, Any]) -> dict[str, Any]:
    """The facts, with the damage of the files that only this verb reads."""
    damaged = [known["damaged"]] if known.get("damaged") else []
    for path in (run.metrics, run.samples):
        _, damage = read_rows(path)
        if damage:
            damaged.append(f"{path.name} {damage}")
    return known | ({"damaged": "; ".join(damaged)} if damaged else {})


def _print_page(run: Run, known: dict[str, Any], recorded: Manifest, config: dict[str, Any]) -> None:
    from expctl.cli.recorded_origins import recorded_origins
    from expctl.report import run_page
    from expctl.report.step_time import time_lines, times_of
    from expctl.runs.history import samples, series

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else WIDTH
    parts = {
        "attempts": run_page.attempt_lines(recorded),
        "metrics": run_page.metric_lines(series(run), width),
        "time of the steps": time_lines(times_of(run)),
        "config": run_page.config_lines(config, recorded_origins(run, recorded, config), width if terminal else None),
        "samples": run_page.sample_lines(samples(run), width),
        "commands": [f"  {label:<10}{command}" for label, command in _commands(run, known, recorded).items()],
    }
    lines = run_page.head_lines(known, recorded, run.folder)
    for title, part in parts.items():
        lines += ["", title, *_most(part)] if part else []
    print("\n".join(shortened(printable(line), LONGEST_LINE) for line in lines))


def _most(lines: list[str]) -> list[str]:
    """The first lines of a section, and how many are left out."""
    left_out = len(lines) - MOST_LINES
    if left_out <= 0:
        return lines
    return [*lines[:MOST_LINES], f"  [... {left_out:,} lines more; --json has all ...]"]


def _commands(run: Run, known: dict[str, Any], recorded: Manifest) -> dict[str, str]:
    """Label -> command that carries the run on or does it again, as it is typed in this folder."""
    is_here = run.folder.parent == outputs_root().resolve()
    name = run.run_id if is_here else shlex.quote(_shorter(run.folder))
    commands: dict[str, str] = {}
    if known["status"] == manifest.BROKEN:
        return commands
    if known["status"] not in (manifest.COMPLETED, *UNDER_WAY):
        commands["resume"] = f"expctl resume {name}"
    commands["again"] = f"expctl rerun {name}"
    if recorded.command is not None:
        folder = recorded.folder
        change_folder = f"cd {shlex.quote(folder)} && " if folder and folder != str(Path.cwd()) else ""
        commands["command"] = change_folder + recorded.command
    return commands


def _shorter(folder: Path) -> str:
    """The relative or the absolute path, whichever is shorter."""
    relative = os.path.relpath(folder)
    return relative if len(relative) < len(str(folder)) and os.sep in relative else str(folder)


def _as_data(run: Run, known: dict[str, Any], recorded: Manifest, config: dict[str, Any]) -> dict[str, Any]:
    from expctl.cli.recorded_origins import recorded_origins
    from expctl.report.step_time import times_of
    from expctl.runs.history import samples, series

    times = times_of(run)
    sources = recorded_origins(run, recorded, config)
    return {
        "run": run.run_id,
        "folder": str(run.folder),
        "status": known["status"],
        "error": known.get("error"),
        "damaged": known.get("damaged"),
        "manifest": read_json(run.manifest) if known["status"] != manifest.BROKEN else {},
        "summary": read_json(run.summary),
        "config": {key: {"value": value, "set_by": sources[key]} for key, value in config.items()},
        "metrics": {metric.name: {"steps": metric.steps, "values": metric.values} for metric in series(run)},
        "time": {"seconds": times.seconds, "tokens_per_second": times.tokens_per_second},
        "samples": samples(run),
        "commands": _commands(run, known, recorded),
    }
