"""What plots show, as plain data: learning curves over seeds, and reward against completion length."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expctl.base.metric_titles import SHOWN
from expctl.compare import metrics
from expctl.compare.comparison import Comparison, Metric
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record, UnreadableRunError, read
from expctl.compare.tests_of_metrics import measure

REWARD, LENGTH = "eval_reward", "eval_completions/mean_length"
# Metrics of groups of completions that taught nothing, as trainers log them -> what a person calls them.
WASTED = {
    "frac_reward_zero_std": "groups whose completions all have the same reward",
    "replay/wasted": "groups without contrast, before the replay buffer takes their place",
}
# A picture has no room for more; beyond, each run's values are averaged over equal windows of steps.
MOST_POINTS = 200
MOST_CURVES = 4


@dataclass(frozen=True)
class Curve:
    """One group over the steps; `mean` of the runs that have a value there, None where none has.

    `low` and `high` are the lowest and the highest run, None where fewer than two have a value; `count` says how many
    have, of `logged` that ever logged the metric, of `runs` in the group.
    """

    group: str
    steps: list[float]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]
    count: list[int]
    logged: int
    runs: int


@dataclass(frozen=True)
class Curves:
    """One metric over the steps of all groups that logged it; `window` is how many steps a point is the mean of."""

    name: str
    title: str
    evaluated: bool
    window: int | None
    curves: list[Curve]


@dataclass(frozen=True)
class Ends:
    """A run's evaluations as (completion length in tokens, reward); `before` is None where there was none."""

    group: str
    run_id: str
    seed: int | None
    before: tuple[float, float] | None
    after: tuple[float, float]


@dataclass(frozen=True)
class Trade:
    """Reward against length: means with intervals as in any comparison, and the runs that they are made of.

    `before` is each group's mean before training, of those that were evaluated then in all their runs.
    """

    reward: Metric
    length: Metric
    ends: list[Ends]
    before: dict[str, tuple[float, float]]


def records_of(comparison: Comparison) -> list[Grouped]:
    """The groups of a comparison with their runs read again; one that has gone since is left out."""
    found = []
    for group in comparison.groups:
        records = []
        for folder in group.folders:
            try:
                records.append(read(folder))
            except UnreadableRunError:
                continue
        found.append(Grouped(group, records))
    return found


def learning_curves(comparison: Comparison, groups: Sequence[Grouped]) -> list[Curves]:
    """A few metrics over the steps: those that are compared, and those that people look at."""
    wanted = dict.fromkeys(metric.name.removeprefix("eval_").removeprefix(metrics.TRAIN)
                           for metric in comparison.metrics if metric.judged)  # fmt: skip
    logged = dict.fromkeys(name for one in groups for record in one.records for row in record.rows for name in row)
    plain = dict.fromkeys(name.removeprefix("eval_") for name in logged)
    wanted |= dict.fromkeys(name for pattern, _ in SHOWN for name in plain if re.fullmatch(pattern, name))
    if "reward" in plain:
        functions = [name for name in plain if re.fullmatch(r"rewards/\w+/mean", name)]
        for name in ["loss", *(functions if len(functions) == 1 else [])]:
            wanted.pop(name, None)
    # What was logged in training has many steps; an evaluation is the next best.
    found = [curves_of(name if name in logged else f"eval_{name}", groups) for name in wanted]
    return [one for one in found if one][:MOST_CURVES]


def wasted_groups(groups: Sequence[Grouped]) -> list[Curves]:
    """How many groups of completions had no contrast to learn from, over the steps; none where it was not logged."""
    return [one for name in WASTED if (one := curves_of(name, groups))]


def curves_of(name: str, groups: Sequence[Grouped]) -> Curves | None:
    """One logged metric over the steps; None where no group has two steps of it."""
    logged = {one.label: [points for record in one.records if (points := _points(record, name))] for one in groups}
    steps = sorted({step for runs in logged.values() for points in runs for step in points})
    if not any(len(points) > 1 for runs in logged.values() for points in runs):
        return None
    windows = _windows(steps)
    sizes = {one.label: len(one.records) for one in groups}
    curves = [_curve(label, runs, steps, windows, sizes[label]) for label, runs in logged.items() if runs]
    width = math.ceil((steps[-1] - steps[0]) / len(windows)) if len(windows) < len(steps) else None
    # What the reward is called after the evaluation it is called in training too.
    title = WASTED.get(name) or metrics.title(f"eval_{name.removeprefix('eval_')}", groups)
    return Curves(name, title, name.startswith("eval_"), width, [one for one in curves if one.steps])


def trade(comparison: Comparison, groups: Sequence[Grouped]) -> Trade | None:
    """Reward against completion length, the trade that GFPO is about; None where either was not evaluated."""
    ends = []
    for one in groups:
        for record in one.records:
            if after := _end(record.after):
                ends.append(Ends(one.label, record.run_id, record.seed, _end(record.before), after))
    if not ends:
        return None
    reward, length = (comparison.metric(name) or measure(name, groups, comparison.level) for name in (REWARD, LENGTH))
    return Trade(reward, length, ends, _means_before(ends))


def _means_before(ends: Sequence[Ends]) -> dict[str, tuple[float, float]]:
    found = {}
    for group in dict.fromkeys(one.group for one in ends):
        before = [one.before for one in ends if one.group == group]
        if all(before):
            found[group] = tuple(sum(axis) / len(before) for axis in zip(*before, strict=True))
    return found


def _end(measured: dict[str, float | None]) -> tuple[float, float] | None:
    length, reward = measured.get(LENGTH), measured.get(REWARD)
    return None if length is None or reward is None else (length, reward)


def _points(record: Record, name: str) -> dict[float, float]:
    """Step -> value, the last where a step was logged twice; NaN where it was no number."""
    found: dict[float, float] = {}
    for row in record.rows:
        step = row.get("step")
        if name in row and isinstance(step, int | float) and not isinstance(step, bool) and math.isfinite(step):
            found[step] = _number(row[name])
    return dict(sorted(found.items())) if any(map(math.isfinite, found.values())) else {}


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else math.nan


def _windows(steps: Sequence[float]) -> list[list[int]]:
    """The places of the steps that share a point."""
    if len(steps) <= MOST_POINTS:
        return [[place] for place in range(len(steps))]
    found: list[list[int]] = [[] for _ in range(MOST_POINTS)]
    for place, step in enumerate(steps):
        share = (step - steps[0]) / (steps[-1] - steps[0])
        found[min(MOST_POINTS - 1, int(share * MOST_POINTS))].append(place)
    return [places for places in found if places]


def _curve(
    label: str, runs: list[dict[float, float]], steps: list[float], windows: list[list[int]], size: int
) -> Curve:
    """Runs that logged at other steps are read between their own; before their first and after their last they are
    absent, and so they are beside a value that was no number."""
    import numpy

    table = numpy.full((len(runs), len(steps)), numpy.nan)
    for row, points in enumerate(runs):
        own, values = numpy.asarray(list(points)), numpy.asarray(list(points.values()))
        table[row] = numpy.interp(steps, own, values, left=numpy.nan, right=numpy.nan)
        table[row, numpy.searchsorted(steps, own)] = values
    found: dict[str, list] = {name: [] for name in ("steps", "mean", "low", "high", "count")}
    for places in windows:
        inside = table[:, places]
        known = [float(row[numpy.isfinite(row)].mean()) for row in inside if numpy.isfinite(row).any()]
        found["steps"].append(float(numpy.mean([steps[place] for place in places])))
        found["mean"].append(sum(known) / len(known) if known else None)
        found["low"].append(min(known) if known[1:] else None)
        found["high"].append(max(known) if known[1:] else None)
        found["count"].append(len(known))
    return Curve(label, logged=len(runs), runs=size, **_trimmed(found))


def _trimmed(found: dict[str, list]) -> dict[str, list]:
    """Without the steps before the first value and after the last one."""
    places = [place for place, count in enumerate(found["count"]) if count]
    return {name: values[places[0] : places[-1] + 1] if places else [] for name, values in found.items()}
