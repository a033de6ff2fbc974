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
from expctl.compare.verdict import FEWEST, number, with_interval

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
        for sentence in dict.fromkeys(each.excess.sentence for each in metric.differences if each.excess):
            _print_item(console, sentence.removeprefix(f"{metric.title}: "), 2)
    notes = [f"not compared: {reason}" for reason in comparison.refusals]
    notes += [f"warning: {warning}" for warning in comparison.warnings]
    if comparison.corrected_for > 1:
        notes.append(f"p is corrected for {comparison.corrected_for} comparisons (Holm)")
    if notes:
        console.print()
    for note in notes:
        _print_item(console, note, 2)
    if comparison.more_seeds:
        console.print("\nmore seeds")
    for command in comparison.more_seeds:
        console.print(f"  {command}", soft_wrap=True)


def _table(metric: Metric, level: float) -> Any:
    from rich.table import Table

    with_iqm = any(summary.iqm for summary in metric.groups)
    differences = {difference.group: difference for difference in metric.differences}
    finest = _finest(summary.mean for summary in metric.groups)
    finest_difference = _finest(difference.difference for difference in metric.differences)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("group", overflow="fold")
    for title in _titles(metric, f"{100 * level:g} %", with_iqm=with_iqm):
        table.add_column(title, justify="right", no_wrap=True)
    summaries = [metric.start, *metric.groups] if metric.start else metric.groups
    for summary in summaries:
        row = [printable(shortened(summary.group, LONGEST)), str(summary.count), with_interval(summary.mean, finest)]
        if with_iqm:
            row.append(number(summary.iqm.value, finest) if summary.iqm else "")
        if summary.group in differences:
            row += _compared(differences[summary.group], finest_difference)
        table.add_row(*row)
    return table


def _titles(metric: Metric, interval: str, *, with_iqm: bool) -> list[str]:
    titles = ["runs", f"mean ({interval})"]
    if with_iqm:
        titles.append("middle half")
    if metric.differences:
        better = "better" if metric.better and metric.judged else "higher"
        titles += [f"difference ({interval})", f"P({better})"]
    return titles


def _compared(difference: Difference, like: Estimate | None) -> list[str]:
    improvement = f"{difference.improvement.value:.2f}" if difference.improvement else ""
    return [with_interval(difference.difference, like, sign=True), improvement]


def _finest(estimates: Iterable[Estimate | None]) -> Estimate | None:
    """The estimate with the narrowest interval: a column has its digits."""
    widths = []
    for estimate in estimates:
        low, high = (estimate.interval if estimate else None) or (0.0, 0.0)
        if estimate and high > low:
            widths.append((high - low, estimate))
    return min(widths, key=lambda pair: pair[0])[1] if widths else None


def _print_verdicts(console: Any, metric: Metric) -> None:
    verdicts = [difference.verdict for difference in metric.differences if difference.verdict]
    if len(verdicts) > 1 and all(difference.p_corrected is None for difference in metric.differences):
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
    for number_of_line, line in enumerate(lines):
        if word:
            line.highlight_words([word], STYLES.get(word, ""))
        console.print(Text(" " * indent if number_of_line else "") + line)
