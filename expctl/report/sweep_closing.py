"""The last words of a sweep: its results, the best cell, where the logs of the failures are."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from expctl.launch.pool import Place
from expctl.report.sweep_display import called
from expctl.runs.files import read_json
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED

MOST_ROWS = 40


def print_results(places: Sequence[Place], ledger: Path) -> None:
    """The table of results, the best first; of a long one the worst are left out."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    done = [(place, place.outcome.objective) for place in places if place.status == COMPLETED]
    ranked = sorted(
        (pair for pair in done if pair[1] is not None), key=lambda pair: pair[1], reverse=_maximised(places)
    )
    if done:
        first = read_json(done[0][0].run.summary) or {}
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("cell")
        table.add_column(first.get("objective_name") or "objective", justify="right")
        table.add_column("run")
        for place, objective in ranked[:MOST_ROWS]:
            table.add_row(called(place), f"{objective:.4g}", place.run.run_id)
        for place in [place for place, objective in done if objective is None][:MOST_ROWS]:
            table.add_row(called(place), "none", place.run.run_id)
        console.print()
        console.print(table)
        if len(done) > MOST_ROWS:
            console.print(f"and {len(done) - MOST_ROWS} more")
        console.print()
    for place in (place for place in places if place.status == FAILED):
        console.print(f"failed     {called(place)}: {place.outcome.error}", markup=False, soft_wrap=True)
        console.print(f"  log      {place.run.log}", soft_wrap=True)
    counted = Counter(place.status for place in places)
    console.print(", ".join(f"{number} {status}" for status, number in counted.most_common()))
    if counted[FAILED] or counted[INTERRUPTED]:
        console.print("the same command finishes the rest")
    if ranked:
        console.print(f"best       {called(ranked[0][0])}", markup=False, soft_wrap=True)
    console.print(f"ledger     {ledger}", soft_wrap=True)


def _maximised(places: Sequence[Place]) -> bool:
    return places[0].experiment.config["algorithm"]["direction"] == "maximize"
