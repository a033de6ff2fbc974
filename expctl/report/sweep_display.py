"""A sweep as it goes: a table that moves in a terminal, a line a job where the output is none."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

from expctl.base.metric_titles import short_metrics
from expctl.report.clock import clock
from expctl.runs.alerts import kinds, sentence
from expctl.runs.manifest import COMPLETED, FAILED, REFUSED, RUNNING
from expctl.runs.records import ProgressState
from expctl.sweep.job import HELD_BY_ANOTHER, Composed, Ended, SweepJob

DRAW_SECONDS, PLAIN_SECONDS, MOST_ROWS = 0.5, 30.0, 16


class SweepDisplay:
    """Call `look` often; it draws only now and then."""

    def __init__(self, jobs: Sequence[SweepJob]):
        self._jobs = jobs
        self._began = time.monotonic()
        self._drawn = 0.0
        # Run id -> the last status that was printed.
        self._printed: dict[str, str] = {}
        self._alerted: set[tuple[str, str]] = set()
        self._live = self._start() if sys.stdout.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.look(at_once=True)
        if self._live:
            self._live.stop()

    def look(self, *, at_once: bool = False) -> None:
        """Show what is new; `at_once`: also where the last look was a moment ago."""
        if not at_once and time.monotonic() - self._drawn < DRAW_SECONDS:
            return
        self._drawn = time.monotonic()
        for job in self._jobs:
            self._print_status(job)
            self._print_alerts(job)
        if self._live:
            self._live.update(self._table())

    def _start(self) -> Any:
        from expctl.report.screen import start_live

        return start_live(refresh_per_second=4)

    def _print_status(self, job: SweepJob) -> None:
        """A line when a job begins or ends; those that were completed before are only counted in the head."""
        before = self._printed.get(job.run.run_id)
        has_begun = job.status in (RUNNING, HELD_BY_ANOTHER) or isinstance(job.state, Ended)
        if job.status == before or (before is None and not has_begun):
            return
        self._printed[job.run.run_id] = job.status
        if job.began is None and job.status == COMPLETED:
            return
        line = f"{time.monotonic() - self._began:7.1f} s  {job.status:<12}{job.name}"
        if job.status in (FAILED, REFUSED):
            self._print(f"{line}  {job.error}")
        elif not self._live:
            self._print(line)

    def _print_alerts(self, job: SweepJob) -> None:
        """Each kind once a job, while it runs: the closing has what they came to."""
        if job.status not in (RUNNING, HELD_BY_ANOTHER):
            return
        progress = ProgressState.read(job.run.progress) or ProgressState()
        for alert in progress.alerts:
            if (job.run.run_id, alert.kind) not in self._alerted:
                self._alerted.add((job.run.run_id, alert.kind))
                self._print(f"{time.monotonic() - self._began:7.1f} s  {'warning':<12}{job.name}  {sentence(alert)}")

    def _print(self, text: str) -> None:
        if self._live:
            self._live.console.print(text, soft_wrap=True)
        else:
            print(text, flush=True)

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=self._head(), title_justify="left")
        for title in ("cell", "step", "", "alerts"):
            table.add_column(title, no_wrap=True)
        running = [job for job in self._jobs if job.status == RUNNING]
        for job in running[:MOST_ROWS]:
            progress = ProgressState.read(job.run.progress) or ProgressState()
            step = f"{progress.step}/{progress.of}" if progress.of else progress.phase
            words = "  ".join(f"{name} {value}" for name, value in short_metrics(progress.metrics))
            table.add_row(job.name, step, words, kinds(progress.alerts))
        if len(running) > MOST_ROWS:
            table.add_row(f"and {len(running) - MOST_ROWS} more", "", "", "")
        return table

    def _head(self) -> str:
        counted = Counter(job.status for job in self._jobs)
        words = [f"{counted[COMPLETED]} of {len(self._jobs)} completed"]
        words += [f"{number} {status}" for status, number in counted.items() if status != COMPLETED]
        left = self._left()
        return ", ".join(words) + (f"   {clock(left)} left" if left is not None else "")

    def _left(self) -> float | None:
        """Seconds to go by the pace so far, of jobs that were trained in this sweep."""
        done = sum(isinstance(job.state, Ended) and job.state.seconds is not None for job in self._jobs)
        to_do = sum(isinstance(job.state, Composed) for job in self._jobs)
        return (time.monotonic() - self._began) / done * to_do if done else None
