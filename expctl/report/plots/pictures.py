"""Which pictures a comparison has, what is said of them, and their files."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from expctl.compare.comparison import Comparison, Estimate, Metric, SeedStatistics
from expctl.compare.curves import Curve, Curves, Trade, learning_curves, trade, wasted_groups
from expctl.compare.groups import Grouped
from expctl.compare.verdict import count, number
from expctl.report.plots.drawing import (
    dodge,
    draw_curves,
    draw_final,
    draw_trade,
    leave_picture,
    mean_of,
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
    labels = [group.label for group in groups]
    drawn = [_of_curves("curve", curves, labels) for curves in learning_curves(comparison, groups)]
    against_length = trade(comparison, groups)
    if against_length:
        drawn.append(_of_trade(against_length, labels, comparison.level))
    shown = [metric for metric in comparison.metrics if any(summary.count for summary in metric.groups)]
    drawn += [_of_final(metric, comparison.level) for metric in shown]
    return drawn + [_of_curves("wasted", curves, labels) for curves in wasted_groups(groups)]


def write_pictures(drawn: Sequence[Picture], folder: Path) -> list[Path]:
    """PNG and SVG of each; what else is in the folder stays.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [path for picture in drawn for path in write(picture, folder)]


def _of_curves(kind: str, curves: Curves, labels: Sequence[str]) -> Picture:
    present = [curve.group for curve in curves.curves]
    groups = [label for label in labels if label in present][:MOST_GROUPS]
    drawn = [curve for curve in curves.curves if curve.group in groups]
    several = any(curve.logged > 1 for curve in drawn)
    caption = ["Line: mean of the runs of a group." if several else "One run a group."]
    if any(low is not None for curve in drawn for low in curve.low):
        caption.append("Band: from the lowest run to the highest.")
    if curves.window:
        caption.append(f"Each point is the mean of about {curves.window:,} steps.")
    caption += filter(None, map(_shortfall, drawn))
    caption += _left_out(labels, groups, present)
    where = "at each evaluation" if curves.evaluated else "in training"
    title = curves.title if kind == "wasted" else f"{curves.title} {where}"
    return Picture(
        name=f"{kind}-{_file(curves.name)}",
        title=title[0].upper() + title[1:],
        caption=" ".join(caption),
        draw=partial(draw_curves, curves, groups),
        stops=_stops_of_curves(drawn),
        legend=groups,
    )


def _shortfall(curve: Curve) -> str:
    """Where runs of a group are missing: a mean of others is not the same line."""
    fewer = [step for step, runs in zip(curve.steps, curve.count, strict=True) if runs < curve.logged]
    notes = []
    if curve.logged < curve.runs:
        notes.append(f"{curve.group}: {curve.logged} of {curve.runs} runs logged it.")
    if fewer:
        many = f"at {len(fewer)} steps between {fewer[0]:g} and {fewer[-1]:g}"
        where = many if len(fewer) > 1 else f"at step {fewer[0]:g}"
        notes.append(f"{curve.group}: not all of {curve.logged} runs have a value {where}.")
    return " ".join(notes)


def _stops_of_curves(curves: Sequence[Curve]) -> list[Stop]:
    steps: dict[float, list[str]] = {}
    with_bands = len(curves) <= MOST_WITH_BANDS
    for curve in curves:
        points = zip(curve.steps, curve.mean, curve.low, curve.high, curve.count, strict=True)
        for step, mean, low, high, runs in points:
            if mean is not None:
                band = ""
                if with_bands and low is not None:
                    band = f" ({number(low)} to {number(high)}, {runs} runs)"
                steps.setdefault(step, []).append(f"{curve.group}: {number(mean)}{band}")
    return [Stop(step, None, [f"step {step:g}", *steps[step]]) for step in sorted(steps)]


def _of_final(metric: Metric, level: float) -> Picture:
    groups = metric.groups
    better = f" {metric.better.capitalize()} is better." if metric.better and metric.judged else ""
    known = [run.value for summary in groups for run in summary.values if run.value is not None]
    cut = CUT if leave_picture(known, [summary.mean for summary in groups if summary.mean]) else ""
    return Picture(
        name=f"final-{_file(metric.name)}",
        title=f"{metric.title[0].upper()}{metric.title[1:]} by group",
        caption=f"Small: the runs. Large: their mean, with its {100 * level:g} % interval.{better}{cut}",
        draw=partial(draw_final, metric, groups),
        stops=[stop for row, summary in enumerate(groups) for stop in _stops_of_summary(summary, row)],
        height=0.6 + 0.5 * len(groups) + 0.16 * (lines_of([summary.group for summary in groups]) - len(groups)),
    )


def _stops_of_summary(summary: SeedStatistics, row: int) -> list[Stop]:
    stops: list[Stop] = []
    for run in summary.values:
        if run.value is not None:
            name = f"seed {run.seed}" if run.seed is not None else run.run_id
            lines = [summary.group, f"{name}: {number(run.value)}"]
            stops.append(Stop(run.value, -row + dodge(len(stops)), lines))
    if summary.mean:
        mean = f"mean: {in_words(summary.mean)}, {count(summary.count, 'run')}"
        stops.append(Stop(summary.mean.value, -row - 0.16, [summary.group, mean]))
    return stops


def _of_trade(both: Trade, labels: Sequence[str], level: float) -> Picture:
    present = {run.group for run in both.ends}
    groups = [label for label in labels if label in present][:MOST_GROUPS]
    arrow = " Arrows lead from before training (x)." if any(group in both.before for group in groups) else ""
    note = CUT if trade_leaves_picture(both, groups) else ""
    note += "".join(f" {sentence}" for sentence in _left_out(labels, groups, list(present)))
    return Picture(
        name="reward-against-length",
        title=f"{both.reward.title[0].upper()}{both.reward.title[1:]} against completion length",
        caption=f"Small: the runs. Large: their means, with {100 * level:g} % intervals.{arrow}{note}",
        draw=partial(draw_trade, both, groups),
        stops=_stops_of_trade(both, groups),
        legend=groups,
        height=3.4,
    )


def _stops_of_trade(both: Trade, groups: Sequence[str]) -> list[Stop]:
    stops = []
    for run in both.ends:
        if run.group in groups:
            name = f"seed {run.seed}" if run.seed is not None else run.run_id
            stops.append(Stop(*run.after, [run.group, f"{name}: {_pair(both, *run.after)}"]))
    for group in groups:
        length, reward = mean_of(both.length, group), mean_of(both.reward, group)
        values = [f"{both.reward.title}: {in_words(reward)}", f"completion length: {in_words(length)}"]
        stops.append(Stop(length.value, reward.value, [f"{group}, mean", *values]))
        before = both.before.get(group)
        if before:
            stops.append(Stop(*before, [f"{group}, before training", _pair(both, *before)]))
    return stops


def _pair(both: Trade, length: float, reward: float) -> str:
    return f"{both.reward.title} {number(reward)}, completion length {number(length)}"


def in_words(mean: Estimate) -> str:
    """A mean with its interval: `0.5 (0.4 to 0.6)`."""
    interval = f" ({number(mean.low, mean)} to {number(mean.high, mean)})" if mean.interval else ""
    return f"{number(mean.value, mean)}{interval}"


def _left_out(labels: Sequence[str], drawn: Sequence[str], present: Sequence[str]) -> list[str]:
    without = [label for label in labels if label not in present]
    more = len(labels) - len(without) - len(drawn)
    sentences = []
    if without:
        sentences.append(f"No values of {', '.join(without[:3])}{' and others' if without[3:] else ''}.")
    if more:
        sentences.append(f"{more} more groups are not drawn.")
    return sentences


def _file(name: str) -> str:
    return re.sub(r"\W+", "-", name.removeprefix("eval_")).strip("-")[:MOST_FILE] or "metric"
