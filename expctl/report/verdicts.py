"""The table of `expctl verify`, filled as the proofs finish."""

import sys
from types import TracebackType
from typing import Any, TextIO

TITLES = ("algorithm", "proof", "what holds", "measured", "must be", "")


class Verdicts:
    """Shows verdicts: a table that grows in a terminal, a line each where the output is none."""

    def __init__(self, out: TextIO | None = None):
        self._out = out or sys.stdout
        self._live = _LiveTable(self._out) if self._out.isatty() else None

    def __enter__(self) -> "Verdicts":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.end()

    def show(self, verdict: dict[str, Any]) -> None:
        """One more verdict, as `python -m expctl.verify` says it."""
        if self._live:
            self._live.add(verdict)
            return
        algorithm, proof, statement, measured, bound, word = _cells(verdict)
        print(
            f"{word:<4}  {algorithm:<11}  {proof:<21}  {measured:>8} {bound:<8}  {statement}",
            file=self._out,
            flush=True,
        )


def failures(verdicts: list[dict[str, Any]]) -> list[str]:
    """What the failed proofs say, a line each."""
    lines = []
    for verdict in verdicts:
        if not verdict["passed"]:
            reasons = verdict["why"] or [f"measured {_number(verdict['measured'])}, must be {verdict['bound']}"]
            lines += [f"{verdict['algorithm']}: {verdict['name']}: {reason}" for reason in reasons]
    return lines


def _cells(verdict: dict[str, Any]) -> tuple[str, ...]:
    return (
        verdict["algorithm"],
        verdict["name"],
        verdict["statement"],
        _number(verdict["measured"]),
        verdict["bound"],
        "ok" if verdict["passed"] else "FAIL",
    )


def _number(measured: float | None) -> str:
    return "none" if measured is None else f"{measured:.2g}"


class _LiveTable:
    def __init__(self, out: TextIO):
        from rich.console import Console
        from rich.live import Live
        from rich.table import Table

        self._table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title, justify in zip(TITLES, ("left", "left", "left", "right", "left", "left"), strict=True):
            self._table.add_column(title, justify=justify, no_wrap=title != "what holds")
        # The foot of a table that is taller than the window is what has just been proven.
        self._live = Live(self._table, console=Console(file=out, highlight=False), vertical_overflow="visible")
        self._live.start()

    def add(self, verdict: dict[str, Any]) -> None:
        *cells, word = _cells(verdict)
        self._table.add_row(*cells, f"[green]{word}[/]" if verdict["passed"] else f"[bold red]{word}[/]")
        self._live.refresh()

    def end(self) -> None:
        self._live.stop()
