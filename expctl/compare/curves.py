"""What plots show, as plain data: learning curves over seeds, and reward against completion length."""

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from expctl.base.metric_titles import SHOWN
from expctl.base.plain_data import number
from expctl.compare import metrics
from expctl.compare.budget import at, parse
from expctl.compare.comparison import Comparison, Metric
from expctl.compare.differences import compare_metric
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record, UnreadableRunError, read

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
    """The groups of a comparison with their runs read again, as they were compared; one that has gone is left out."""
    groups = []
    budget = parse(comparison.budget) if comparison.budget else None
    for group in comparison.groups:
        records = []
        for folder in group.folders:
            with contextlib.suppress(UnreadableRunError):
                records.append(at(read(folder), budget) if budget else read(folder))
        groups.append(Grouped(group, records))
    return groups


def learning_curves(comparison: Comparison, groups: Sequence[Grouped]) -> list[Curves]:
    """A few metrics over the steps: those that are compared, and those that people look at."""
    judged = [metric.name for metric in comparison.metrics if metric.judged]
    wanted = dict.fromkeys(name.removeprefix("eval_").removeprefix(metrics.TRAIN) for name in judged)
    rows = [row for group in groups for record in group.records for row in record.rows]
    logged = dict.fromkeys(name for row in rows for name in row)
    plain = dict.fromkeys(name.removeprefix("eval_") for name in logged)
    wanted |= dict.fromkeys(name for pattern, _ in SHOWN for name in plain if re.fullmatch(pattern, name))
    if "reward" in plain:
        wanted.pop("loss", None)
        functions = [name for name in plain if re.fullmatch(r"rewards/\w+/mean", name)]
        if len(functions) == 1:
            wanted.pop(functions[0], None)
    # What was logged in training has many steps; an evaluation is the next best.
    curves = [curves_of(name if name in logged else f"eval_{name}", groups) for name in wanted]
    return [each for each in curves if each][:MOST_CURVES]


def wasted_groups(groups: Sequence[Grouped]) -> list[Curves]:
    """How many groups of completions had no contrast to learn from, over the steps; none where it was not logged."""
    curves = [curves_of(name, groups) for name in WASTED]
    return [each for each in curves if each]


def curves_of(name: str, groups: Sequence[Grouped]) -> Curves | None:
    """One logged metric over the steps; None where no group has two steps of it."""
    logged = {group.label: list(filter(None, (_points(record, name) for record in group.records))) for group in groups}
    every_run = [points for runs in logged.values() for points in runs]
    if not any(len(points) > 1 for points in every_run):
        return None
    steps = sorted({step for points in every_run for step in points})
    windows = _windows(steps)
    sizes = {group.label: len(group.records) for group in groups}
    curves = [_curve(label, runs, steps, windows, sizes[label]) for label, runs in logged.items() if runs]
    width = math.ceil((steps[-1] - steps[0]) / len(windows)) if len(windows) < len(steps) else None
    # What the reward is called after the evaluation it is called in training too.
    title = WASTED.get(name) or metrics.title(f"eval_{name.removeprefix('eval_')}", groups)
    return Curves(name, title, name.startswith("eval_"), width, [curve for curve in curves if curve.steps])


def trade(comparison: Comparison, groups: Sequence[Grouped]) -> Trade | None:
    """Reward against completion length, the trade that GFPO is about; None where either was not evaluated."""
    ends = []
    for group in groups:
        for record in group.records:
            after = _end(record.after)
            if after:
                ends.append(Ends(group.label, record.run_id, record.seed, _end(record.before), after))
    if not ends:
        return None
    reward, length = (
        comparison.metric(name) or compare_metric(name, groups, comparison.level) for name in (REWARD, LENGTH)
    )
    return Trade(reward, length, ends, _means_before(ends))


def _means_before(ends: Sequence[Ends]) -> dict[str, tuple[float, float]]:
    means = {}
    for group in dict.fromkeys(run.group for run in ends):
        runs = [run.before for run in ends if run.group == group]
        known = [before for before in runs if before]
        if len(known) == len(runs):
            lengths, rewards = zip(*known, strict=True)
            means[group] = (sum(lengths) / len(known), sum(rewards) / len(known))
    return means


def _end(measured: dict[str, float | None]) -> tuple[float, float] | None:
    length, reward = measured.get(LENGTH), measured.get(REWARD)
    return None if length is None or reward is None else (length, reward)


def _points(record: Record, name: str) -> dict[float, float]:
    """Step -> value, the last where a step was logged twice; NaN where it was no number."""
    points: dict[float, float] = {}
    for row in record.rows:
        step = number(row.get("step"))
        if name in row and step is not None and math.isfinite(step):
            value = number(row[name])
            points[step] = math.nan if value is None or math.isinf(value) else float(value)
    return dict(sorted(points.items())) if any(map(math.isfinite, points.values())) else {}


def _windows(steps: Sequence[float]) -> list[list[int]]:
    """The positions of the steps that share a point."""
    if len(steps) <= MOST_POINTS:
        return [[position] for position in range(len(steps))]
    windows: list[list[int]] = [[] for _ in range(MOST_POINTS)]
    for position, step in enumerate(steps):
        share = (step - steps[0]) / (steps[-1] - steps[0])
        windows[min(MOST_POINTS - 1, int(share * MOST_POINTS))].append(position)
    return [window for window in windows if window]


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
    curve = Curve(label, steps=[], mean=[], low=[], high=[], count=[], logged=len(runs), runs=size)
    for window in windows:
        inside = table[:, window]
        known = [float(row[numpy.isfinite(row)].mean()) for row in inside if numpy.isfinite(row).any()]
        curve.steps.append(float(numpy.mean([steps[position] for position in window])))
        curve.mean.append(sum(known) / len(known) if known else None)
        curve.low.append(min(known) if len(known) > 1 else None)
        curve.high.append(max(known) if len(known) > 1 else None)
        curve.count.append(len(known))
    return _trimmed(curve)


def _trimmed(curve: Curve) -> Curve:
    """Without the steps before the first value and after the last one."""
    known = [position for position, count in enumerate(curve.count) if count]
    inside = slice(known[0], known[-1] + 1) if known else slice(0)
    return replace(
        curve,
        steps=curve.steps[inside],
        mean=curve.mean[inside],
        low=curve.low[inside],
        high=curve.high[inside],
        count=curve.count[inside],
    )
