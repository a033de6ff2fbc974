"""What is put onto the axes: curves with bands, final values by group, reward against length."""

import math
from collections.abc import Sequence
from typing import Any

from expctl.base.printable import printable, shortened
from expctl.compare.comparison import Estimate, Metric, Summary
from expctl.compare.curves import Curve, Curves, Trade
from expctl.report.plots.style import DASHES, MARKERS, Theme, wrapped

# How many markers a curve carries: enough to be told apart, too few to hide it.
MARKS = 7


def draw_curves(curves: Curves, groups: Sequence[str], axes: Any, theme: Theme) -> None:
    for curve in curves.curves:
        if curve.group in groups:
            _draw_curve(curve, groups.index(curve.group), axes, theme)
    axes.set_xlabel("step")
    axes.set_ylabel(_wrapped_axis(curves.title))


def _draw_curve(curve: Curve, place: int, axes: Any, theme: Theme) -> None:
    colour = theme.groups[place]
    low, mean, high = (_with_gaps(values) for values in (curve.low, curve.mean, curve.high))
    axes.fill_between(curve.steps, low, high, color=colour, alpha=0.16, linewidth=0)
    for edge in (low, high):
        axes.plot(curve.steps, edge, color=colour, linewidth=0.5, alpha=0.6)
    every = max(1, len(curve.steps) // MARKS)
    start = place * every // 3 % every
    axes.plot(
        curve.steps, mean, color=colour, linestyle=DASHES[place], marker=MARKERS[place], label=f"{place} {curve.group}",
        markevery=(start, every), markeredgecolor=theme.background or colour, markeredgewidth=0.5,
    )  # fmt: skip


def draw_final(metric: Metric, groups: Sequence[Summary], axes: Any, theme: Theme) -> None:
    """A row a group, its label above its dots, so that no label is ever in another's way."""
    for row, one in enumerate(groups):
        colour, marker = theme.groups[row % len(theme.groups)], MARKERS[row % len(MARKERS)]
        known = [value.value for value in one.values if value.value is not None]
        axes.plot(known, [-row + dodge(number) for number in range(len(known))], linestyle="none", marker=marker,
                  markersize=4, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=0.9)  # fmt: skip
        label = wrapped(one.group) if one.mean else f"{wrapped(one.group)}: no number"
        axes.text(0.01, -row + 0.27, label, transform=axes.get_yaxis_transform(), fontsize=8.5, va="bottom")
        if one.mean:
            axes.errorbar(one.mean.value, -row - 0.16, xerr=_errors(one.mean), color=colour, marker=marker,
                          markersize=6.5, capsize=3.5, elinewidth=1.5)  # fmt: skip
    known = [value.value for one in groups for value in one.values if value.value is not None]
    axes.set_xlim(*_limits(known, [one.mean for one in groups if one.mean]))
    axes.set_ylim(-len(groups) + 0.55, 0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    for row in range(1, len(groups)):
        axes.axhline(-row + 0.68, color=theme.grid, linewidth=0.6)
    axes.set_xlabel(_wrapped_axis(metric.title, 60))


def dodge(number: int) -> float:
    """Where in its row a run's dot lies: equal values must not hide each other."""
    return 0.02 + 0.045 * (number % 4)


def draw_trade(trade: Trade, groups: Sequence[str], axes: Any, theme: Theme) -> None:
    for place, group in enumerate(groups):
        colour, marker = theme.groups[place], MARKERS[place]
        length, reward = (_mean(metric, group) for metric in (trade.length, trade.reward))
        ends = [one.after for one in trade.ends if one.group == group]
        axes.plot(*zip(*ends, strict=True), linestyle="none", marker=marker, markersize=4, markerfacecolor="none",
                  markeredgecolor=colour, markeredgewidth=0.9)  # fmt: skip
        middle = (length.value, reward.value)
        axes.errorbar(*middle, xerr=_errors(length), yerr=_errors(reward), color=colour, marker=marker, markersize=8,
                      linestyle=DASHES[place], capsize=3, elinewidth=1.3, label=f"{place} {group}")  # fmt: skip
        if before := trade.before.get(group):
            axes.plot(*before, marker="x", color=theme.muted, markersize=6, linestyle="none")
            axes.annotate("", middle, before, arrowprops={"arrowstyle": "->", "color": colour, "alpha": 0.7,
                          "linestyle": DASHES[place], "shrinkB": 7, "mutation_scale": 13})  # fmt: skip
    for limit, (known, means) in zip((axes.set_xlim, axes.set_ylim), _sides(trade, groups), strict=True):
        limit(*_limits(known, means))
    axes.set_xlabel("completion length (tokens), shorter is cheaper")
    axes.set_ylabel(_wrapped_axis(trade.reward.title))


def trade_leaves_picture(trade: Trade, groups: Sequence[str]) -> bool:
    return any(leave_picture(known, means) for known, means in _sides(trade, groups))


def leave_picture(known: Sequence[float], means: Sequence[Estimate]) -> bool:
    """Whether an interval reaches beyond the picture."""
    low, high = _limits(known, means)
    return any(not low <= end <= high for mean in means for end in (mean.low, mean.high) if end is not None)


def _sides(trade: Trade, groups: Sequence[str]) -> list[tuple[list[float], list[Estimate]]]:
    """What must be seen along the length, and along the reward."""
    found = []
    for side, metric in enumerate((trade.length, trade.reward)):
        before = [trade.before[group][side] for group in groups if group in trade.before]
        ends = [one.after[side] for one in trade.ends if one.group in groups]
        found.append(([*before, *ends], [_mean(metric, group) for group in groups]))
    return found


def _mean(metric: Metric, group: str) -> Estimate:
    return next(one.mean for one in metric.groups if one.group == group and one.mean)


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
