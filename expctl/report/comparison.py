"""A comparison in the terminal: a table a metric with what it means in words, warnings, and what to do next."""

from collections.abc import Iterable
from typing import Any

from expctl.base.printable import printable, shortened
from expctl.compare.comparison import (
    BETTER,
    HIGHER,
    IDENTICAL,
    LOWER,
    NO_DIFFERENCE,
    TOO_FEW,
    WORSE,
    Comparison,
    Difference,
    Estimate,
    Metric,
)
from expctl.compare.verdict import FEWEST, number, signed

WIDTH = 100
# Characters of a sentence.
LONGEST = 3000
# Beyond so many groups, a metric's sentences are those that say something; --json has all.
MOST_SENTENCES = 8
STYLES = {BETTER: "green", WORSE: "red", HIGHER: "cyan", LOWER: "cyan"}
STYLES |= {NO_DIFFERENCE: "bold", IDENTICAL: "bold", TOO_FEW: "yellow"}


def print_comparison(comparison: Comparison) -> None:
    """Tables and verdicts, warnings, and the commands for more seeds."""
    from expctl.report.screen import Screen

    console = Screen(width=WIDTH)
    _print_item(console, f"compared  {comparison.question}", 10)
    if len(comparison.groups) > 1:
        _print_item(console, f"baseline  {comparison.baseline}", 10)
    for metric in comparison.metrics:
        better = f", {metric.better} is better" if metric.better and metric.judged else ""
        console.print(f"\n{metric.title}{better}")
        console.print(_table(metric, comparison.level))
        _print_verdicts(console, metric)
        for sentence in dict.fromkeys(one.excess.sentence for one in metric.differences if one.excess):
            _print_item(console, sentence.removeprefix(f"{metric.title}: "), 2)
    notes = [f"not compared: {said}" for said in comparison.refusals]
    notes += [f"warning: {said}" for said in comparison.warnings]
    if comparison.corrected_for > 1:
        notes.append(f"p is corrected for {comparison.corrected_for} comparisons (Holm)")
    if notes:
        console.print()
    for note in notes:
        _print_item(console, note, 2)
    for place, command in enumerate(comparison.more_seeds):
        if not place:
            console.print("\nmore seeds")
        console.print(f"  {command}", soft_wrap=True)


def _table(metric: Metric, level: float) -> Any:
    from rich.table import Table

    compared, better = bool(metric.differences), metric.better if metric.judged else None
    with_iqm = any(one.iqm for one in metric.groups)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("group", overflow="fold")
    interval = f"{100 * level:g} %"
    titles = ["runs", f"mean ({interval})", *(["middle half"] if with_iqm else [])]
    titles += [f"difference ({interval})", f"P({'better' if better else 'higher'})"] if compared else []
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    differences = {one.group: one for one in metric.differences}
    finest, finest_difference = _finest(one.mean for one in metric.groups), _finest(map(_of, metric.differences))
    for one in [*([metric.start] if metric.start else []), *metric.groups]:
        row = [printable(shortened(one.group, LONGEST)), str(one.count), _with_interval(one.mean, finest)]
        row += [number(one.iqm.value, finest) if one.iqm else ""] if with_iqm else []
        if difference := differences.get(one.group):
            share = difference.improvement
            row += [
                _with_interval(difference.difference, finest_difference, sign=True),
                f"{share.value:.2f}" if share else "",
            ]
        table.add_row(*row)
    return table


def _of(difference: Difference) -> Estimate | None:
    return difference.difference


def _finest(estimates: Iterable[Estimate | None]) -> Estimate | None:
    """The estimate with the narrowest interval: a column has its digits."""
    known = [one for one in estimates if one and one.low is not None and one.high > one.low]
    return min(known, key=lambda one: one.high - one.low, default=None)


def _with_interval(estimate: Estimate | None, like: Estimate | None, *, sign: bool = False) -> str:
    if estimate is None:
        return "none"
    say = signed if sign else number
    if estimate.low is None:
        return say(estimate.value, like)
    return f"{say(estimate.value, like)} [{say(estimate.low, like)}, {say(estimate.high, like)}]"


def _print_verdicts(console: Any, metric: Metric) -> None:
    verdicts = [one.verdict for one in metric.differences if one.verdict]
    if verdicts[1:] and all(one.p_corrected is None for one in metric.differences):
        _print_item(console, f"{TOO_FEW} for any verdict: at least {FEWEST} a group are needed", 2, TOO_FEW)
        return
    shown = verdicts
    if len(verdicts) > MOST_SENTENCES:
        shown = sorted(verdicts, key=lambda verdict: verdict.word in (TOO_FEW, NO_DIFFERENCE, IDENTICAL))
        shown = shown[:MOST_SENTENCES]
    for verdict in shown:
        _print_item(console, verdict.sentence.removeprefix(f"{metric.title}: "), 2, verdict.word)
    words = [verdict.word for verdict in verdicts if verdict not in shown]
    if words:
        counted = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        console.print(f"and {len(words)} more: {counted} (--json has all)")


def _print_item(console: Any, text: str, indent: int, word: str = "") -> None:
    """One sentence, its further lines indented; the word of its verdict in colour where there is any."""
    from rich.text import Text

    lines = Text(printable(shortened(text, LONGEST))).wrap(console, console.width - indent)
    for place, line in enumerate(lines):
        if word:
            line.highlight_words([word], STYLES.get(word, ""))
        console.print(Text(" " * indent if place else "") + line)
