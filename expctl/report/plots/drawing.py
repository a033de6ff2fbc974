"""What is put onto the axes: curves with bands, final values by group, reward against length."""

import math
from collections.abc import Sequence
from typing import Any

from expctl.base.printable import printable, shortened
from expctl.compare.comparison import Estimate, Metric, SeedStatistics
from expctl.compare.curves import Curve, Curves, Trade
from expctl.report.plots.style import DASHES, MARKERS, Theme, wrapped

# How many markers a curve carries: enough to be told apart, too few to hide it.
MARKS = 7
# How a single run is drawn.
_SMALL = {"linestyle": "none", "markersize": 4, "markerfacecolor": "none", "markeredgewidth": 0.9}


def draw_curves(curves: Curves, groups: Sequence[str], axes: Any, theme: Theme) -> None:
    """A curve with its band for each of these groups."""
    for curve in curves.curves:
        if curve.group in groups:
            _draw_curve(curve, groups.index(curve.group), axes, theme)
    axes.set_xlabel("step")
    axes.set_ylabel(_wrapped_axis(curves.title))


def _draw_curve(curve: Curve, number: int, axes: Any, theme: Theme) -> None:
    colour = theme.groups[number]
    low, mean, high = (_with_gaps(values) for values in (curve.low, curve.mean, curve.high))
    axes.fill_between(curve.steps, low, high, color=colour, alpha=0.16, linewidth=0)
    for edge in (low, high):
        axes.plot(curve.steps, edge, color=colour, linewidth=0.5, alpha=0.6)
    every = max(1, len(curve.steps) // MARKS)
    start = number * every // 3 % every
    axes.plot(
        curve.steps,
        mean,
        color=colour,
        linestyle=DASHES[number],
        marker=MARKERS[number],
        label=f"{number} {curve.group}",
        markevery=(start, every),
        markeredgecolor=theme.background or colour,
        markeredgewidth=0.5,
    )


def draw_final(metric: Metric, groups: Sequence[SeedStatistics], axes: Any, theme: Theme) -> None:
    """A row a group, its label above its dots, so that no label is ever in another's way."""
    for row, summary in enumerate(groups):
        _draw_summary(summary, row, axes, theme)
    known = [run.value for summary in groups for run in summary.values if run.value is not None]
    axes.set_xlim(*_limits(known, [summary.mean for summary in groups if summary.mean]))
    axes.set_ylim(-len(groups) + 0.55, 0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for row in range(1, len(groups)):
        axes.axhline(-row + 0.68, color=theme.grid, linewidth=0.6)
    axes.set_xlabel(_wrapped_axis(metric.title, 60))


def _draw_summary(summary: SeedStatistics, row: int, axes: Any, theme: Theme) -> None:
    colour, marker = theme.groups[row % len(theme.groups)], MARKERS[row % len(MARKERS)]
    known = [run.value for run in summary.values if run.value is not None]
    heights = [-row + dodge(number) for number in range(len(known))]
    axes.plot(known, heights, marker=marker, markeredgecolor=colour, **_SMALL)
    label = wrapped(summary.group) if summary.mean else f"{wrapped(summary.group)}: no number"
    axes.text(0.01, -row + 0.27, label, transform=axes.get_yaxis_transform(), fontsize=8.5, va="bottom")
    if summary.mean:
        look = {"color": colour, "marker": marker, "markersize": 6.5, "capsize": 3.5, "elinewidth": 1.5}
        axes.errorbar(summary.mean.value, -row - 0.16, xerr=_errors(summary.mean), **look)


def dodge(number: int) -> float:
    """Where in its row a run's dot lies: equal values must not hide each other."""
    return 0.02 + 0.045 * (number % 4)


def draw_trade(trade: Trade, groups: Sequence[str], axes: Any, theme: Theme) -> None:
    """A group's runs and their mean, with an arrow from where it stood before training."""
    for number, group in enumerate(groups):
        colour, marker, dashes = theme.groups[number], MARKERS[number], DASHES[number]
        ends = [run.after for run in trade.ends if run.group == group]
        axes.plot(*zip(*ends, strict=True), marker=marker, markeredgecolor=colour, **_SMALL)
        length, reward = (mean_of(metric, group) for metric in (trade.length, trade.reward))
        mean = (length.value, reward.value)
        look = {"color": colour, "marker": marker, "markersize": 8, "linestyle": dashes, "capsize": 3}
        label = f"{number} {group}"
        axes.errorbar(*mean, xerr=_errors(length), yerr=_errors(reward), elinewidth=1.3, label=label, **look)
        before = trade.before.get(group)
        if before:
            axes.plot(*before, marker="x", color=theme.muted, markersize=6, linestyle="none")
            arrow = {"arrowstyle": "->", "color": colour, "alpha": 0.7, "linestyle": dashes}
            axes.annotate("", mean, before, arrowprops=arrow | {"shrinkB": 7, "mutation_scale": 13})
    for limit, (known, means) in zip((axes.set_xlim, axes.set_ylim), _sides(trade, groups), strict=True):
        limit(*_limits(known, means))
    axes.set_xlabel("completion length (tokens), shorter is cheaper")
    axes.set_ylabel(_wrapped_axis(trade.reward.title))


def trade_leaves_picture(trade: Trade, groups: Sequence[str]) -> bool:
    """Whether an interval of the length or the reward reaches beyond the picture."""
    return any(leave_picture(known, means) for known, means in _sides(trade, groups))


def leave_picture(known: Sequence[float], means: Sequence[Estimate]) -> bool:
    """Whether an interval reaches beyond the picture."""
    low, high = _limits(known, means)
    return any(not low <= end <= high for mean in means for end in (mean.low, mean.high) if end is not None)


def _sides(trade: Trade, groups: Sequence[str]) -> list[tuple[list[float], list[Estimate]]]:
    """What must be seen along the length, and along the reward."""
    sides = []
    for side, metric in enumerate((trade.length, trade.reward)):
        before = [trade.before[group][side] for group in groups if group in trade.before]
        ends = [run.after[side] for run in trade.ends if run.group in groups]
        sides.append(([*before, *ends], [mean_of(metric, group) for group in groups]))
    return sides


def mean_of(metric: Metric, group: str) -> Estimate:
    """The mean of a group that has one."""
    return next(summary.mean for summary in metric.groups if summary.group == group and summary.mean)


def _errors(mean: Estimate) -> list[list[float]] | None:
    if mean.low is None or mean.high is None:
        return None
    return [[max(0.0, mean.value - mean.low)], [max(0.0, mean.high - mean.value)]]


def _limits(known: Sequence[float], means: Sequence[Estimate]) -> tuple[float, float]:
    """All values, and of the intervals what does not squeeze them: with two seeds one may be twenty times as wide."""
    low, high = min(known, default=0.0), max(known, default=1.0)
    span = (high - low) or abs(high) * 0.1 or 1.0
    ends = [end for mean in means for end in (mean.low, mean.high) if end is not None]
    low, high = max(min([low, *ends]), low - span), min(max([high, *ends]), high + span)
    return low - 0.06 * (high - low or span), high + 0.06 * (high - low or span)


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _wrapped_axis(title: str, width: int = 30) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(printable(shortened(title, 200)), width))
