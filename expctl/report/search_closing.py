"""The last words of a search: its trials, the best first, what failed and why, and the words for the best."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expctl.runs.alerts import alerts_of, sentence
from expctl.runs.files import Run
from expctl.runs.manifest import FAILED
from expctl.runs.records import LedgerCell
from expctl.search.question import Question
from expctl.search.search import ranking

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS, MOST_ERRORS = 20, 5


def print_search(
    entries: Sequence[LedgerCell], question: Question, ledger: Path, again: str | None, *, stopped: str | None
) -> None:
    """`again`: the command that is the best trial's run; `stopped`: why the search has not come to its end, if so."""
    from expctl.report.screen import Screen

    console = Screen(width=120)

    def say(text: str = "") -> None:
        console.print(text, soft_wrap=True)

    ranked = ranking(entries, question.direction)
    if ranked:
        say()
        console.print(_table(ranked[:MOST_ROWS], question.objective))
        if len(ranked) > MOST_ROWS:
            say(f"and {len(ranked) - MOST_ROWS} more")
        say()
    failed = _failed(entries)
    for error, trials in list(failed.items())[:MOST_ERRORS]:
        say(f"failed     {_named(trials)}: {error}")
        log = Run(question.outputs / trials[0].run_id).log
        if log.exists():
            say(f"  log      {log}")
    if len(failed) > MOST_ERRORS:
        say(f"and {len(failed) - MOST_ERRORS} other errors")
    counted = Counter(entry.status for entry in entries)
    say(", ".join(f"{number} {status}" for status, number in counted.most_common()))
    if ranked:
        say(f"best       trial {ranked[0].trial}: {question.objective} {ranked[0].objective:.4g}")
        say(f"  again    {again}")
        for alert in alerts_of(Run(question.outputs / ranked[0].run_id)):
            say(f"  warning  {sentence(alert)}")
    elif entries and not stopped:
        say("no trial completed, so there is no best one")
    same = "the same command without force=true" if question.force else "the same command"
    if stopped:
        say(f"{stopped}; {same} carries the search on")
    elif failed:
        say(f"{same} tries others in the place of those that failed")
    say(f"ledger     {ledger}")


def _table(ranked: Sequence[LedgerCell], objective: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("trial", justify="right")
    table.add_column("searched")
    table.add_column(objective, justify="right")
    table.add_column("run")
    for entry in ranked:
        table.add_row(str(entry.trial), " ".join(entry.words), f"{entry.objective:.4g}", entry.run_id)
    return table


def _failed(entries: Sequence[LedgerCell]) -> dict[str, list[LedgerCell]]:
    """Error -> the trials that failed of it."""
    failed = defaultdict(list)
    for entry in entries:
        if entry.status == FAILED:
            failed[entry.error or "no word"].append(entry)
    return failed


def _named(entries: Sequence[LedgerCell]) -> str:
    first = f"trial {entries[0].trial} ({' '.join(entries[0].words)})"
    return f"{first} and {len(entries) - 1} more" if len(entries) > 1 else first
