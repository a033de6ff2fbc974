"""The metrics of a run over its steps, and the completions that it kept."""

import math
from dataclasses import dataclass
from typing import Any

from expctl.runs.drift import is_timed
from expctl.runs.files import Run, read_metrics


@dataclass(frozen=True)
class Series:
    """A metric at the steps at which it was logged; None where it was no finite number."""

    name: str
    steps: list[int]
    values: list[float | None]

    @property
    def known(self) -> list[float]:
        """The values that are numbers."""
        return [value for value in self.values if value is not None]


def series(run: Run) -> list[Series]:
    """Every metric of `metrics.jsonl` but times, in the order in which they first occur.

    A metric may be missing at some steps, or be logged at fewer than others.
    """
    by_name: dict[str, Series] = {}
    for row in read_metrics(run.metrics):
        step = row.get("step")
        if type(step) is not int:
            continue
        for name, value in row.items():
            if name in ("step", "epoch") or is_timed(name) or not (value is None or type(value) in (int, float)):
                continue
            metric = by_name.setdefault(name, Series(name, [], []))
            metric.steps.append(step)
            metric.values.append(value if value is not None and math.isfinite(value) else None)
    return list(by_name.values())


def samples(run: Run) -> list[dict[str, Any]]:
    """The completions that the run kept, in the order of their steps: `step`, `prompt`, `completion`, `rewards`."""
    rows = [row for row in read_metrics(run.samples) if type(row.get("step")) is int]
    return [row for row in rows if isinstance(row.get("prompt"), str) and isinstance(row.get("completion"), str)]
