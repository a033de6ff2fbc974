"""Live progress of a run: a line that moves in a terminal, plain lines where the output is none."""

import sys
import time
from types import TracebackType
from typing import TextIO

from expctl.base.metric_titles import short_metrics
from expctl.report.clock import clock
from expctl.report.warned import alert_lines
from expctl.runs.files import Run, hang_reports
from expctl.runs.records import ProgressState

PLAIN_SECONDS = 10.0


class Display:
    """Shows what the worker reports in the run's progress file. Call `look` often; it draws only what changed."""

    def __init__(self, run: Run, from_step: int = 0, out: TextIO | None = None):
        self._run = run
        self._out = out or sys.stdout
        self._live = _Live(self._out) if self._out.isatty() else None
        self._seen: ProgressState | None = None
        self._first: tuple[float, int] | None = None
        self._printed_at, self._printed_step = 0.0, -1
        self._began = time.monotonic()
        self._hung = False
        self._alerted: set[str] = set()
        carried = f", carrying on from step {from_step}" if from_step else ""
        self._say(f"run  {run.folder}{carried}")

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.look()
        if self._live:
            self._live.end()

    def look(self) -> None:
        """Read the progress file and show what is new."""
        self._report_hang()
        progress = ProgressState.read(self._run.progress)
        if progress is None:
            return
        self._report_alerts(progress)
        phase_before = self._seen.phase if self._seen else None
        if progress.phase != phase_before:
            if phase_before == "training" and progress.of:
                self._show_step(progress, progress.of)
            self._say(f"{time.monotonic() - self._began:6.1f} s  {progress.phase}")
            self._first = None
        if progress.phase == "training" and progress.of:
            if self._first is None:
                self._first = (progress.at, progress.step)
            self._show_step(progress, progress.of)
        self._seen = progress

    def _report_hang(self) -> None:
        if self._hung or not hang_reports(self._run):
            return
        self._hung = True
        self._say(f"no step for hardware.hang_minutes: what every rank was doing stands in {self._run.stacks}")

    def _report_alerts(self, progress: ProgressState) -> None:
        """Print each kind of alert once, when it is new; the closing has the final ones."""
        for alert in progress.alerts:
            if alert.kind not in self._alerted:
                self._alerted.add(alert.kind)
                self._say("\n".join(alert_lines(alert)))

    def _show_step(self, progress: ProgressState, of: int) -> None:
        text, step = self._step_line(progress, of), progress.step
        if self._live:
            self._live.draw(text, step / of)
            return
        due = time.monotonic() - self._printed_at > PLAIN_SECONDS or step - self._printed_step >= max(1, of / 10)
        if step != self._printed_step and (due or step == of):
            self._say(f"{time.monotonic() - self._began:6.1f} s  {text}")
            self._printed_at, self._printed_step = time.monotonic(), step

    def _step_line(self, progress: ProgressState, of: int) -> str:
        words = [f"step {progress.step}/{of}"]
        words += [f"{name} {value}" for name, value in short_metrics(progress.metrics)]
        # A training that ends between two looks is seen for the first time when it is over.
        at, step = self._first or (progress.at, progress.step)
        if progress.step > step:
            pace = (progress.at - at) / (progress.step - step)
            words += [f"{pace:.2f} s/step", f"{clock(pace * (of - progress.step))} left"]
        return "  ".join(words)

    def _say(self, text: str) -> None:
        if self._live:
            self._live.say(text)
        else:
            print(text, file=self._out, flush=True)


class _Live:
    """One line at the foot of a terminal that is drawn again and again."""

    def __init__(self, out: TextIO):
        from expctl.report.screen import start_live

        self._live = start_live(out)

    def draw(self, text: str, share: float) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 1))
        row.add_row(ProgressBar(total=1.0, completed=share, width=24), text)
        self._live.update(row)

    def say(self, text: str) -> None:
        self._live.console.print(text, soft_wrap=True)

    def end(self) -> None:
        self._live.stop()
