"""The progress file: what a worker is doing right now, rewritten as the training goes on."""

import json
import os
import time
from pathlib import Path

from expctl.runs.records import Alert, ProgressState

# Nobody looks more often, and short steps are not to pay for it.
EVERY_SECONDS = 0.1


class Progress:
    """Writer of a run's `.progress.json`. Silent on every rank but the first."""

    def __init__(self, path: Path, *, silent: bool = False):
        self._path = path
        self._silent = silent
        self._written = 0.0
        self._state = ProgressState()

    def phase(self, name: str) -> None:
        """Enter a phase, for example `training`."""
        self._state.phase = name
        self.write()

    def step(self, step: int, of: int, metrics: dict[str, float]) -> None:
        """Report an optimizer step out of all and the latest metrics."""
        self._state.step, self._state.of = step, of
        self._state.metrics |= metrics
        if step == of or time.monotonic() - self._written > EVERY_SECONDS:
            self.write()

    def alert(self, alerts: list[Alert]) -> None:
        """Report all alerts of the training so far."""
        if alerts != self._state.alerts:
            self._state.alerts = alerts
            self.write()

    def write(self) -> None:
        """Write the current state, however recent the last write is."""
        if self._silent:
            return
        self._written = time.monotonic()
        self._state.at = time.time()
        aside = self._path.with_suffix(".tmp")
        aside.write_text(json.dumps(self._state.to_plain()), encoding="utf-8")
        os.replace(aside, self._path)
