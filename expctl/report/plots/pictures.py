"""Which pictures a comparison has, what is said of them, and their files."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from expctl.compare.comparison import Comparison, Estimate, Metric
from expctl.compare.curves import Curve, Curves, Trade, learning_curves, trade, wasted_groups
from expctl.compare.groups import Grouped
from expctl.compare.verdict import number
from expctl.report.plots.drawing import (
    dodge,
    draw_curves,
    draw_final,
    draw_trade,
    leave_picture,
    trade_leaves_picture,
)
from expctl.report.plots.picture import Picture, Stop, write
from expctl.report.plots.style import MOST_GROUPS, lines_of

# With more groups, the values at a step would hide the plot.
MOST_WITH_BANDS = 4
# Characters of a file's name; a file system takes 255 bytes.
MOST_FILE = 60
CUT = " Intervals without an end reach beyond the picture."


def pictures(comparison: Comparison, groups: Sequence[Grouped]) -> list[Picture]:
    """Learning curves, reward against length, final values, wasted groups: each where there is something to show."""
    labels = [one.label for one in groups]
    found = [_of_curves("curve", one, labels) for one in learning_curves(comparison, groups)]
    if both := trade(comparison, groups):
        found.append(_of_trade(both, labels, comparison.level))
    shown = [metric for metric in comparison.metrics if any(one.count for one in metric.groups)]
    found += [_of_final(metric, comparison.level) for metric in shown]
    return found + [_of_curves("wasted", one, labels) for one in wasted_groups(groups)]


def write_pictures(found: Sequence[Picture], folder: Path) -> list[Path]:
    """PNG and SVG of each; what else is in the folder stays.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [path for picture in found for path in write(picture, folder)]


def _of_curves(kind: str, curves: Curves, labels: Sequence[str]) -> Picture:
    present = [one.group for one in curves.curves]
    groups = [label for label in labels if label in present][:MOST_GROUPS]
    drawn = [one for one in curves.curves if one.group in groups]
    said = ["Line: mean of the runs of a group." if any(one.logged > 1 for one in drawn) else "One run a group."]
    if any(low is not None for one in drawn for low in one.low):
        said.append("Band: from the lowest run to the highest.")
    if curves.window:
        said.append(f"Each point is the mean of about {curves.window:,} steps.")
    said += [note for one in drawn if (note := _shortfall(one))]
    said += _left_out(labels, groups, present)
    where = "at each evaluation" if curves.evaluated else "in training"
    title = curves.title if kind == "wasted" else f"{curves.title} {where}"
    return Picture(
        name=f"{kind}-{_file(curves.name)}",
        title=title[0].upper() + title[1:],
        caption=" ".join(said),
        draw=partial(draw_curves, curves, groups),
        stops=_stops_of_curves(drawn),
        legend=groups,
    )


def _shortfall(curve: Curve) -> str:
    """Where runs of a group are missing: a mean of others is not the same line."""
    fewer = [step for step, count in zip(curve.steps, curve.count, strict=True) if count < curve.logged]
    said = f"{curve.group}: {curve.logged} of {curve.runs} runs logged it. " if curve.logged < curve.runs else ""
    if not fewer:
        return said.strip()
    where = f"at {len(fewer)} steps between {fewer[0]:g} and {fewer[-1]:g}" if fewer[1:] else f"at step {fewer[0]:g}"
    return f"{said}{curve.group}: not all of {curve.logged} runs have a value {where}."


def _stops_of_curves(curves: Sequence[Curve]) -> list[Stop]:
    steps: dict[float, list[str]] = {}
    with_bands = len(curves) <= MOST_WITH_BANDS
    for curve in curves:
        points = zip(curve.steps, curve.mean, curve.low, curve.high, curve.count, strict=True)
        for step, mean, low, high, count in points:
            if mean is not None:
                known = with_bands and low is not None
                band = f" ({number(low)} to {number(high)}, {count} runs)" if known else ""
                steps.setdefault(step, []).append(f"{curve.group}: {number(mean)}{band}")
    return [Stop(step, None, [f"step {step:g}", *steps[step]]) for step in sorted(steps)]


def _of_final(metric: Metric, level: float) -> Picture:
    groups = metric.groups
    stops = []
    for row, one in enumerate(groups):
        known = [value for value in one.values if value.value is not None]
        for place, value in enumerate(known):
            named = f"seed {value.seed}" if value.seed is not None else value.run_id
            stops.append(Stop(value.value, -row + dodge(place), [one.group, f"{named}: {number(value.value)}"]))
        if one.mean:
            stops.append(Stop(one.mean.value, -row - 0.16, [one.group, f"mean: {said(one.mean)}, {_runs(one.count)}"]))
    better = f" {metric.better[0].upper()}{metric.better[1:]} is better." if metric.better and metric.judged else ""
    known = [value.value for one in groups for value in one.values if value.value is not None]
    cut = CUT if leave_picture(known, [one.mean for one in groups if one.mean]) else ""
    return Picture(
        name=f"final-{_file(metric.name)}",
        title=f"{metric.title[0].upper()}{metric.title[1:]} by group",
        caption=f"Small: the runs. Large: their mean, with its {100 * level:g} % interval.{better}{cut}",
        draw=partial(draw_final, metric, groups),
        stops=stops,
        height=0.6 + 0.5 * len(groups) + 0.16 * (lines_of([one.group for one in groups]) - len(groups)),
    )


def _of_trade(both: Trade, labels: Sequence[str], level: float) -> Picture:
    present = {one.group for one in both.ends}
    groups = [label for label in labels if label in present][:MOST_GROUPS]
    stops = []
    for one in both.ends:
        if one.group in groups:
            named = f"seed {one.seed}" if one.seed is not None else one.run_id
            stops.append(Stop(*one.after, [one.group, f"{named}: {_pair(both, *one.after)}"]))
    for group in groups:
        length, reward = (
            next(one.mean for one in metric.groups if one.group == group) for metric in (both.length, both.reward)
        )
        values = [f"{both.reward.title}: {said(reward)}", f"completion length: {said(length)}"]
        stops.append(Stop(length.value, reward.value, [f"{group}, mean", *values]))
        if before := both.before.get(group):
            stops.append(Stop(*before, [f"{group}, before training", _pair(both, *before)]))
    arrow = " Arrows lead from before training (x)." if any(group in both.before for group in groups) else ""
    note = CUT if trade_leaves_picture(both, groups) else ""
    note += "".join(f" {left}" for left in _left_out(labels, groups, list(present)))
    return Picture(
        name="reward-against-length",
        title=f"{both.reward.title[0].upper()}{both.reward.title[1:]} against completion length",
        caption=f"Small: the runs. Large: their means, with {100 * level:g} % intervals.{arrow}{note}",
        draw=partial(draw_trade, both, groups),
        stops=stops,
        legend=groups,
        height=3.4,
    )


def _pair(both: Trade, length: float, reward: float) -> str:
    return f"{both.reward.title} {number(reward)}, completion length {number(length)}"


def said(mean: Estimate) -> str:
    """A mean with its interval, in words."""
    interval = f" ({number(mean.low, mean)} to {number(mean.high, mean)})" if mean.low is not None else ""
    return f"{number(mean.value, mean)}{interval}"


def _left_out(labels: Sequence[str], drawn: Sequence[str], present: Sequence[str]) -> list[str]:
    without = [label for label in labels if label not in present]
    more = len(labels) - len(without) - len(drawn)
    return [
        *([f"No values of {', '.join(without[:3])}{' and others' if without[3:] else ''}."] if without else []),
        *([f"{more} more groups are not drawn."] if more else []),
    ]


def _runs(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"


def _file(name: str) -> str:
    return re.sub(r"\W+", "-", name.removeprefix("eval_")).strip("-")[:MOST_FILE] or "metric"
