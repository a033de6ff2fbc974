"""The last words of a sweep: its results, the best cell, where the logs of the failures are."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expctl.report.number import no_objective, rounded
from expctl.report.sweep_display import called
from expctl.runs.alerts import alerts_of, kinds, sentence
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, REFUSED
from expctl.runs.records import Summary
from expctl.sweep.pool import Place, objective_of

MOST_ROWS = 40


def print_results(places: Sequence[Place], ledger: Path) -> None:
    """The table of results, the best first; then what failed, and what to do next."""
    from expctl.report.screen import Screen

    console = Screen(width=120)
    ranked = _ranked(places)
    if ranked:
        console.print()
        # Its own name: without an evaluation a metric of the training stands in for it.
        summary = Summary.read(ranked[0].run.summary) or Summary()
        console.print(_table(ranked, summary.objective_name or objective_of(places[0])[0]))
        if len(ranked) > MOST_ROWS:
            console.print(f"and {len(ranked) - MOST_ROWS} more")
        console.print()
    for place in (place for place in places if place.status == FAILED):
        console.print(f"failed     {called(place)}: {place.outcome.error}", soft_wrap=True)
        console.print(f"  log      {place.run.log}", soft_wrap=True)
    for place in (place for place in places if place.status == REFUSED):
        console.print(f"refused    {called(place)}: {place.outcome.error}", soft_wrap=True)
    for place in places:
        _print_alerts(console, place)
    counted = Counter(place.status for place in places)
    console.print(", ".join(f"{number} {status}" for status, number in counted.most_common()))
    if counted[FAILED] or counted[INTERRUPTED]:
        forced = any(place.experiment and place.experiment.config["force"] for place in places)
        console.print(f"the same command {'without force=true ' if forced else ''}finishes the rest")
    if ranked and ranked[0].outcome.objective is not None:
        console.print(f"best       {called(ranked[0])}", soft_wrap=True)
    console.print(f"ledger     {ledger}", soft_wrap=True)
    if counted[COMPLETED] > 1:
        console.print(f"compare    expctl compare {ledger.stem}", soft_wrap=True)


def _print_alerts(console: Any, place: Place) -> None:
    """What a cell warned of while it was trained, and why it has no objective."""
    for alert in alerts_of(place.run):
        console.print(f"warning    {called(place)}: {sentence(alert)}", soft_wrap=True)
        console.print(f"  do       {alert.do}", soft_wrap=True)
    why = no_objective(Summary.read(place.run.summary) or Summary()) if place.status == COMPLETED else None
    if why:
        console.print(f"warning    {called(place)}: no objective: {why}", soft_wrap=True)


def _ranked(places: Sequence[Place]) -> list[Place]:
    """The completed cells, the best first; those without an objective last."""
    sign = -1.0 if objective_of(places[0])[1] == "maximize" else 1.0

    def rank(place: Place) -> tuple[bool, float]:
        objective = place.outcome.objective
        return objective is None, 0.0 if objective is None else sign * objective

    return sorted((place for place in places if place.status == COMPLETED), key=rank)


def _table(ranked: Sequence[Place], objective: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("cell")
    table.add_column(objective, justify="right")
    table.add_column("run")
    table.add_column("")  # what it was warned of, as a rule nothing
    for place in ranked[:MOST_ROWS]:
        alerts = kinds(alerts_of(place.run))
        table.add_row(called(place), rounded(place.outcome.objective), place.run.run_id, alerts)
    return table
