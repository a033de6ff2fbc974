"""The page's first sections: what was asked, the verdicts, and the numbers that they rest on."""

from collections.abc import Sequence
from typing import Any

from expctl.compare.before_training import START
from expctl.compare.comparison import BETTER, HIGHER, LOWER, WORSE, Comparison, Difference, Metric
from expctl.compare.verdict import percent, with_interval
from expctl.report.page.markup import Markup, joined, section, table, tag

# Beyond, a reader opens the rest.
MOST_SENTENCES = 8
_CLASSES = {BETTER: "good", WORSE: "bad", HIGHER: "shown", LOWER: "shown"}


def verdict(comparison: Comparison) -> Markup:
    """The sentences of all verdicts, those that say something first, and what to know before believing them."""
    differences = [difference for metric in comparison.metrics for difference in metric.differences]
    verdicts = [difference.verdict for difference in differences if difference.verdict]
    verdicts.sort(key=lambda each: each.word not in _CLASSES)
    lines = [tag("li", *_marked(each.sentence, each.word)) for each in verdicts]
    if not lines:
        lines = [tag("li", "One group: there is nothing to compare it with.")]
    parts: list[Any] = [tag("ul", *lines[:MOST_SENTENCES], class_="verdicts")]
    words = [each.word for each in verdicts[MOST_SENTENCES:]]
    if words:
        counted = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        rest = tag("ul", *lines[MOST_SENTENCES:], class_="verdicts")
        parts.append(tag("details", tag("summary", f"{len(words)} more: {counted}"), rest))
    excess = dict.fromkeys(difference.excess.sentence for difference in differences if difference.excess)
    if excess:
        parts += [tag("h3", "Excess"), tag("ul", *(tag("li", sentence) for sentence in excess))]
    if comparison.corrected_for > 1:
        parts.append(tag("p", f"p is corrected for {comparison.corrected_for} comparisons (Holm)."))
    warnings = [*(f"not compared: {reason}" for reason in comparison.refusals), *comparison.warnings]
    if warnings:
        parts += [tag("h3", "Before you believe it"), tag("ul", *(tag("li", warning) for warning in warnings))]
    return section("verdict", "Verdict", *parts)


def _marked(sentence: str, word: str) -> Sequence[Any]:
    """The parts of a sentence, the word of its verdict emphasised where it stands in it."""
    before, match, after = sentence.partition(word)
    return [before, tag("strong", match, class_=_CLASSES.get(word, "open")), after] if match else [sentence]


def metrics(comparison: Comparison) -> Markup:
    """A table for each metric."""
    return section("metrics", "Numbers", *(_table(metric, comparison) for metric in comparison.metrics))


def _table(metric: Metric, comparison: Comparison) -> Markup:
    better = metric.better if metric.judged else None
    with_iqm = any(summary.iqm for summary in metric.groups)
    with_excess = any(difference.excess and difference.excess.share for difference in metric.differences)
    columns = _columns(metric, f"{100 * comparison.level:g} %", with_iqm=with_iqm, with_excess=with_excess)
    differences = {difference.group: difference for difference in metric.differences}
    summaries = [metric.start, *metric.groups] if metric.start else metric.groups
    rows = []
    for summary in summaries:
        difference = differences.get(summary.group)
        row: list[Any] = [_name(summary.group, comparison), str(summary.count), with_interval(summary.mean)]
        if with_iqm:
            row.append(with_interval(summary.iqm) if summary.iqm else "")
        if metric.differences:
            row += _compared(difference)
        if with_excess:
            row.append(_excess(difference))
        rows.append(row)
    note = "" if metric.judged else ", for information"
    return table(f"{metric.title}{f', {better} is better' if better else note}", columns, rows, class_="numbers")


def _columns(metric: Metric, interval: str, *, with_iqm: bool, with_excess: bool) -> list[str]:
    columns = ["group", "runs", f"mean ({interval})"]
    if with_iqm:
        columns.append(f"middle half ({interval})")
    if metric.differences:
        better = "better" if metric.better and metric.judged else "higher"
        columns += [f"difference ({interval})", f"P({better}) ({interval})", "p (corrected)"]
    if with_excess:
        columns.append(f"excess taken away ({interval})")
    return columns


def _name(group: str, comparison: Comparison) -> Any:
    note = "before training" if group == START else ""
    if group == comparison.baseline and comparison.groups[1:]:
        note = "baseline"
    return joined([group, " ", tag("span", note, class_="note")]) if note else group


def _compared(difference: Difference | None) -> list[str]:
    if difference is None:
        return ["", "", ""]
    improvement = ""
    if difference.improvement and difference.improvement.interval:
        low, high = difference.improvement.interval
        improvement = f"{difference.improvement.value:.2f} [{low:.2f}, {high:.2f}]"
    p = "" if difference.p_corrected is None else f"{difference.p_corrected:.2g}"
    return [with_interval(difference.difference, sign=True), improvement, p]


def _excess(difference: Difference | None) -> str:
    share = difference.excess.share if difference and difference.excess else None
    if share is None:
        return ""
    value = f"{percent(share.value, share)} %"
    if share.interval is None:
        return value
    low, high = share.interval
    return f"{value} [{percent(low, share)}, {percent(high, share)}]"
