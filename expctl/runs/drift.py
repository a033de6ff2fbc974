"""How a rerun differs from the first run: in its circumstances, and in its metrics step by step."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from expctl.base.plain_data import leaves
from expctl.runs.files import Run, read_metrics
from expctl.runs.records import Manifest

# Step -> metric -> value.
Rows = dict[int, dict[str, float | None]]
# What the clock or a busy machine decides: times, rates, memory in use.
_TIMED = re.compile(r"(\w*_)?(time|runtime|seconds)|\w*_per_second\w*|\w*_mem_\w*")
# Job numbers and ports differ each time and decide nothing.
_INCIDENTAL = re.compile(r"SLURM_\w+|MASTER_\w+|EXPCTL_(?!ALLOW)\w+|(WANDB|MLFLOW)_\w+|\w*RANK|\w*WORLD_SIZE")


def is_timed(metric: str) -> bool:
    """Whether a metric is a time, a rate or the like, which no two runs share."""
    return _TIMED.fullmatch(metric.rpartition("/")[2]) is not None


@dataclass(frozen=True)
class MetricDrift:
    """A metric that differs: the first step at which it does, both values there, and the largest relative difference
    (|a - b| / max(|a|, |b|), 0 to 2; infinite where one of the two is missing) with its step."""

    name: str
    step: int
    was: float | None
    now: float | None
    largest: float
    largest_step: int


@dataclass
class DriftReport:
    """What was compared (`steps` that both have, `metrics` without times), and each metric that differs, by its first
    step."""

    steps: int
    metrics: int
    drifts: list[MetricDrift] = field(default_factory=list)
    only_was: int = 0
    only_now: int = 0


def compare_metrics(was: Run, now: Run) -> DriftReport:
    """Compare two runs' metrics at every step that both have logged, all of them but times."""
    first, second = _by_step(was), _by_step(now)
    common = sorted(first.keys() & second.keys())
    names = list(dict.fromkeys(name for step in common for name in (*first[step], *second[step])))
    drifts = [drift for drift in (_drift(name, common, first, second) for name in names) if drift is not None]
    return DriftReport(
        steps=_training_steps(common),
        metrics=len(names),
        drifts=sorted(drifts, key=lambda drift: drift.step),
        only_was=_training_steps(first.keys() - second.keys()),
        only_now=_training_steps(second.keys() - first.keys()),
    )


def _training_steps(steps: Iterable[int]) -> int:
    """How many steps there are; step 0 is the evaluation before training."""
    return sum(step > 0 for step in steps)


def circumstances(was: Manifest, now: Manifest) -> list[tuple[str, str]]:
    """(label, `was -> is`) of every circumstance in which two runs differ, from their manifests."""
    rows = [("versions", change) for change in _changes(was.versions or None, now.versions or None)]
    if was.host != now.host:
        rows.append(("host", f"{was.host} -> {now.host}"))
    was_devices, now_devices = (manifest.devices.to_plain() if manifest.devices else None for manifest in (was, now))
    rows += [("devices", change) for change in _changes(was_devices, now_devices)]
    rows += [("environment", change) for change in _changes(_kept(was.environment), _kept(now.environment))]
    rows += [("data", change) for change in _changes(was.data, now.data)]
    was_inputs, now_inputs = was.inputs or {}, now.inputs or {}
    changed = [name for name in was_inputs | now_inputs if was_inputs.get(name) != now_inputs.get(name)]
    return rows + [("inputs", f"{name} has other content") for name in changed]


def _drift(name: str, steps: Iterable[int], first: Rows, second: Rows) -> MetricDrift | None:
    differing = []
    for step in steps:
        was, now = first[step].get(name), second[step].get(name)
        if was != now:
            differing.append((step, was, now, _relative(was, now)))
    if not differing:
        return None
    worst = max(differing, key=lambda difference: difference[3])
    return MetricDrift(name, *differing[0][:3], largest=worst[3], largest_step=worst[0])


def _relative(was: float | None, now: float | None) -> float:
    if was is None or now is None:
        return float("inf")
    return abs(was - now) / max(abs(was), abs(now))


def _by_step(run: Run) -> Rows:
    """Step -> its metrics without times; of several rows of a step the last value counts."""
    rows: Rows = {}
    for row in read_metrics(run.metrics):
        kept = {name: value for name, value in row.items() if name != "step" and not is_timed(name)}
        rows.setdefault(row.get("step", 0), {}).update(kept)
    return rows


def _changes(was: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[str]:
    """`name was -> is`, `train rows was -> is`; nothing where one of the two was not recorded at all."""
    if was is None or now is None:
        return []
    was, now = (dict(leaves(recorded, between=" ")) for recorded in (was, now))
    names = [name for name in was | now if was.get(name) != now.get(name)]
    return [f"{name} {_word(was.get(name))} -> {_word(now.get(name))}" for name in names]


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _kept(environment: dict[str, str] | None) -> dict[str, str] | None:
    """The variables that may decide something."""
    if environment is None:
        return None
    return {name: value for name, value in environment.items() if not _INCIDENTAL.fullmatch(name)}
