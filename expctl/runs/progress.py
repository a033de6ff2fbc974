"""What a worker is doing right now, for whoever watches: one small file, rewritten as things move."""

import json
import os
import time
from pathlib import Path
from typing import Any

# Nobody looks more often, and short steps are not to pay for it.
EVERY_SECONDS = 0.1


class Progress:
    """Writer of a run's `.progress.json`. Silent on every rank but the first."""

    def __init__(self, path: Path, *, silent: bool = False):
        self._path = path
        self._silent = silent
        self._written = 0.0
        self._state: dict[str, Any] = {"phase": "starting", "step": 0, "of": None, "metrics": {}, "alerts": []}

    def phase(self, name: str) -> None:
        """Enter a phase, for example `training`."""
        self._state["phase"] = name
        self.write()

    def step(self, step: int, of: int, metrics: dict[str, float]) -> None:
        """Report an optimizer step out of all and the latest metrics."""
        self._state |= {"step": step, "of": of, "metrics": self._state["metrics"] | metrics}
        if step == of or time.monotonic() - self._written > EVERY_SECONDS:
            self.write()

    def alert(self, alerts: list[dict[str, Any]]) -> None:
        """What the training has to be warned of so far; see `expctl.runs.alerts`."""
        if alerts != self._state["alerts"]:
            self._state["alerts"] = alerts
            self.write()

    def write(self) -> None:
        """Write what is known now, however short ago it was written."""
        if self._silent:
            return
        self._written = time.monotonic()
        aside = self._path.with_suffix(".tmp")
        aside.write_text(json.dumps(self._state | {"at": time.time()}), encoding="utf-8")
        os.replace(aside, self._path)
