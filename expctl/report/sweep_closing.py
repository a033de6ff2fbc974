"""The last words of a sweep: its results, the best job, where the logs of the failures are."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expctl.report.number import no_objective, rounded
from expctl.runs.alerts import alerts_of, kinds, sentence
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, REFUSED
from expctl.runs.records import Summary
from expctl.sweep.job import SweepJob, objective_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MOST_ROWS = 40


def print_results(jobs: Sequence[SweepJob], ledger: Path) -> None:
    """The table of results, the best first; then what failed, and what to do next."""
    from expctl.report.screen import Screen

    console = Screen(width=120)
    ranked = _ranked(jobs)
    if ranked:
        console.print()
        # Its own name: without an evaluation a metric of the training stands in for it.
        summary = Summary.read(ranked[0].run.summary) or Summary()
        console.print(_table(ranked, summary.objective_name or objective_of(jobs[0])[0]))
        if len(ranked) > MOST_ROWS:
            console.print(f"and {len(ranked) - MOST_ROWS} more")
        console.print()
    for job in _with_status(jobs, FAILED):
        console.print(f"failed     {job.name}: {job.error}", soft_wrap=True)
        console.print(f"  log      {job.run.log}", soft_wrap=True)
    for job in _with_status(jobs, REFUSED):
        console.print(f"refused    {job.name}: {job.error}", soft_wrap=True)
    for job in jobs:
        _print_alerts(console, job)
    counted = Counter(job.status for job in jobs)
    console.print(", ".join(f"{number} {status}" for status, number in counted.most_common()))
    if counted[FAILED] or counted[INTERRUPTED]:
        again = "the same command without force=true" if any(job.forced for job in jobs) else "the same command"
        console.print(f"{again} finishes the rest")
    if ranked and ranked[0].objective is not None:
        console.print(f"best       {ranked[0].name}", soft_wrap=True)
    console.print(f"ledger     {ledger}", soft_wrap=True)
    if counted[COMPLETED] > 1:
        console.print(f"compare    expctl compare {ledger.stem}", soft_wrap=True)


def _with_status(jobs: Sequence[SweepJob], status: str) -> list[SweepJob]:
    return [job for job in jobs if job.status == status]


def _print_alerts(console: "Console", job: SweepJob) -> None:
    """What a job warned of while it was trained, and why it has no objective."""
    for alert in alerts_of(job.run):
        console.print(f"warning    {job.name}: {sentence(alert)}", soft_wrap=True)
        console.print(f"  do       {alert.do}", soft_wrap=True)
    why = no_objective(Summary.read(job.run.summary) or Summary()) if job.status == COMPLETED else None
    if why:
        console.print(f"warning    {job.name}: no objective: {why}", soft_wrap=True)


def _ranked(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """The completed jobs, the best first; those without an objective last."""
    sign = -1.0 if objective_of(jobs[0])[1] == "maximize" else 1.0

    def rank(job: SweepJob) -> tuple[bool, float]:
        return job.objective is None, sign * (job.objective or 0.0)

    return sorted(_with_status(jobs, COMPLETED), key=rank)


def _table(ranked: Sequence[SweepJob], objective: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("cell")
    table.add_column(objective, justify="right")
    table.add_column("run")
    table.add_column("")  # what it was warned of, as a rule nothing
    for job in ranked[:MOST_ROWS]:
        alerts = kinds(alerts_of(job.run))
        table.add_row(job.name, rounded(job.objective), job.run.run_id, alerts)
    return table
