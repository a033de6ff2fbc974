"""A sweep as it goes: a table that moves in a terminal, a line a cell where the output is none."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from expctl.base.metric_titles import short_metrics
from expctl.report.clock import clock
from expctl.runs.alerts import kinds, sentence
from expctl.runs.manifest import COMPLETED, FAILED, REFUSED, RUNNING
from expctl.runs.records import ProgressState
from expctl.sweep.pool import ELSEWHERE, ENDED, Place

DRAW_SECONDS, PLAIN_SECONDS, MOST_ROWS = 0.5, 30.0, 16


class SweepDisplay:
    """Call `look` often; it draws only now and then."""

    def __init__(self, places: Sequence[Place]):
        self._places = places
        self._began = time.monotonic()
        self._drawn = 0.0
        self._said: dict[str, str] = {}
        self._alerted: set[tuple[str, str]] = set()
        self._live = self._start() if sys.stdout.isatty() else None

    def __enter__(self) -> "SweepDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        self.look(at_once=True)
        if self._live:
            self._live.stop()

    def look(self, *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() - self._drawn < DRAW_SECONDS:
            return
        self._drawn = time.monotonic()
        for place in self._places:
            self._tell(place)
            self._tell_of_alerts(place)
        if self._live:
            self._live.update(self._table())

    def _start(self) -> Any:
        from expctl.report.screen import start_live

        return start_live(refresh_per_second=4)

    def _tell(self, place: Place) -> None:
        """A line when a cell begins or ends; of those that were completed before, only the head's number tells."""
        before = self._said.get(place.run.run_id)
        if place.status == before or (before is None and place.status not in (RUNNING, *ENDED, ELSEWHERE)):
            return
        self._said[place.run.run_id] = place.status
        if place.began is None and place.status == COMPLETED:
            return
        said = f"{time.monotonic() - self._began:7.1f} s  {place.status:<12}{called(place)}"
        if place.status in (FAILED, REFUSED):
            said += f"  {place.outcome.error}"
        if not self._live or place.status in (FAILED, REFUSED):
            self._say(said)

    def _tell_of_alerts(self, place: Place) -> None:
        """Each kind once a cell, while it runs: the closing has what they came to."""
        if place.status not in (RUNNING, ELSEWHERE):
            return
        progress = ProgressState.read(place.run.progress) or ProgressState()
        for alert in progress.alerts:
            if (place.run.run_id, alert.kind) not in self._alerted:
                self._alerted.add((place.run.run_id, alert.kind))
                self._say(f"{time.monotonic() - self._began:7.1f} s  {'warning':<12}{called(place)}  {sentence(alert)}")

    def _say(self, text: str) -> None:
        if self._live:
            self._live.console.print(text, soft_wrap=True)
        else:
            print(text, flush=True)

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=self._head(), title_justify="left")
        for title in ("cell", "step", "", "alerts"):
            table.add_column(title, no_wrap=True)
        running = [place for place in self._places if place.status == RUNNING]
        for place in running[:MOST_ROWS]:
            progress = ProgressState.read(place.run.progress) or ProgressState()
            step = f"{progress.step}/{progress.of}" if progress.of else progress.phase
            words = "  ".join(f"{name} {value}" for name, value in short_metrics(progress.metrics))
            table.add_row(called(place), step, words, kinds(progress.alerts))
        if len(running) > MOST_ROWS:
            table.add_row(f"and {len(running) - MOST_ROWS} more", "", "", "")
        return table

    def _head(self) -> str:
        counted = Counter(place.status for place in self._places)
        words = [f"{counted[COMPLETED]} of {len(self._places)} completed"]
        words += [f"{number} {status}" for status, number in counted.items() if status != COMPLETED]
        left = self._left()
        return ", ".join(words) + (f"   {clock(left)} left" if left is not None else "")

    def _left(self) -> float | None:
        """Seconds to go by the pace so far, of cells that were trained in this sweep."""
        done = sum(place.seconds is not None for place in self._places)
        to_do = sum(place.status not in ENDED for place in self._places)
        return (time.monotonic() - self._began) / done * to_do if done else None


def called(place: Place) -> str:
    """What sets a cell apart from the others."""
    return " ".join(place.words) or place.run.run_id
