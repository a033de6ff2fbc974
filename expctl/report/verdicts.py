"""The table of `expctl verify`, a row as each check is done."""

import sys
from types import TracebackType
from typing import Any, TextIO

from expctl.report.number import rounded

ROW = "{:<4}  {:<16}  {:<21}  {:>8} {:<8}  {}"


class Verdicts:
    """Shows verdicts as they come; in a terminal in colour, with the check that is running at the foot."""

    def __init__(self, out: TextIO | None = None):
        self._out = out or sys.stdout
        self._live = _Terminal(self._out) if self._out.isatty() else None
        self._waiting: list[list[str]] = []

    def __enter__(self) -> "Verdicts":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.end()

    def begin(self, names: list[list[str]]) -> None:
        """The (algorithm, check) of all verdicts that will follow."""
        self._waiting = list(names)
        self._say(ROW.format("", "algorithm", "check", "measured", "must be", "what holds").rstrip(), "bold")
        self._show_running()

    def show(self, verdict: dict[str, Any]) -> None:
        """One more verdict, as `python -m expctl.verify` says it."""
        word, style = ("ok", "green") if verdict["passed"] else ("FAIL", "bold red")
        names = verdict["algorithm"], verdict["name"]
        self._say(
            ROW.format(word, *names, rounded(verdict["measured"], 2), verdict["bound"], verdict["statement"]), style
        )
        self._waiting = self._waiting[1:]
        self._show_running()

    def _say(self, row: str, style: str) -> None:
        if self._live:
            self._live.say(row, style)
        else:
            print(row, file=self._out, flush=True)

    def _show_running(self) -> None:
        if self._live:
            self._live.run(": ".join(self._waiting[0]) if self._waiting else "")


def failures(verdicts: list[dict[str, Any]]) -> list[str]:
    """What the failed checks say, a line each."""
    lines = []
    for verdict in verdicts:
        if not verdict["passed"]:
            reasons = verdict["why"] or [f"measured {rounded(verdict['measured'], 2)}, must be {verdict['bound']}"]
            lines += [f"{verdict['algorithm']}: {verdict['name']}: {reason}" for reason in reasons]
    return lines


class _Terminal:
    def __init__(self, out: TextIO):
        from expctl.report.screen import start_live

        self._live = start_live(out)

    def say(self, row: str, style: str) -> None:
        from rich.text import Text

        text = Text(row, no_wrap=True, overflow="ellipsis")
        text.stylize(style, 0, None if style == "bold" else 4)
        self._live.console.print(text)

    def run(self, name: str) -> None:
        from rich.spinner import Spinner

        self._live.update(Spinner("dots", text=name) if name else "", refresh=True)

    def end(self) -> None:
        self._live.stop()
