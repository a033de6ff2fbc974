"""The page's first sections: what was asked, the verdicts, and the numbers that they rest on."""

from collections.abc import Sequence
from typing import Any

from expctl.compare.before_training import START
from expctl.compare.comparison import BETTER, HIGHER, LOWER, WORSE, Comparison, Difference, Estimate, Metric
from expctl.compare.verdict import number, percent, signed
from expctl.report.page.markup import Markup, joined, section, table, tag

# Beyond, a reader opens the rest.
MOST_SENTENCES = 8
_CLASSES = {BETTER: "good", WORSE: "bad", HIGHER: "shown", LOWER: "shown"}


def verdict(comparison: Comparison) -> Markup:
    """The sentences of all verdicts, those that say something first, and what to know before believing them."""
    said = [one.verdict for metric in comparison.metrics for one in metric.differences if one.verdict]
    said.sort(key=lambda one: one.word not in _CLASSES)
    lines = [tag("li", *_marked(one.sentence, one.word)) for one in said]
    if not lines:
        lines = [tag("li", "One group: there is nothing to compare it with.")]
    parts: list[Any] = [tag("ul", *lines[:MOST_SENTENCES], class_="verdicts")]
    if more := [one.word for one in said[MOST_SENTENCES:]]:
        counted = ", ".join(f"{more.count(word)} {word}" for word in dict.fromkeys(more))
        rest = tag("ul", *lines[MOST_SENTENCES:], class_="verdicts")
        parts.append(tag("details", tag("summary", f"{len(more)} more: {counted}"), rest))
    taken = dict.fromkeys(
        one.excess.sentence for metric in comparison.metrics for one in metric.differences if one.excess
    )
    if taken:
        parts += [tag("h3", "Excess"), tag("ul", *(tag("li", sentence) for sentence in taken))]
    if comparison.corrected_for > 1:
        parts.append(tag("p", f"p is corrected for {comparison.corrected_for} comparisons (Holm)."))
    care = [*(f"not compared: {one}" for one in comparison.refusals), *comparison.warnings]
    if care:
        parts += [tag("h3", "Before you believe it"), tag("ul", *(tag("li", one) for one in care))]
    return section("verdict", "Verdict", *parts)


def _marked(sentence: str, word: str) -> Sequence[Any]:
    before, found, after = sentence.partition(word)
    return [before, tag("strong", found, class_=_CLASSES.get(word, "open")), after] if found else [sentence]


def metrics(comparison: Comparison) -> Markup:
    return section("metrics", "Numbers", *(_table(metric, comparison) for metric in comparison.metrics))


def _table(metric: Metric, comparison: Comparison) -> Markup:
    better = metric.better if metric.judged else None
    interval = f"{100 * comparison.level:g} %"
    with_middle = any(one.iqm for one in metric.groups)
    columns = ["group", "runs", f"mean ({interval})", *([f"middle half ({interval})"] if with_middle else [])]
    if metric.differences:
        columns += [f"difference ({interval})", f"P({'better' if better else 'higher'}) ({interval})", "p (corrected)"]
    with_excess = any(one.excess and one.excess.share for one in metric.differences)
    columns += [f"excess taken away ({interval})"] if with_excess else []
    differences = {one.group: one for one in metric.differences}
    rows = []
    for one in [*([metric.start] if metric.start else []), *metric.groups]:
        row: list[Any] = [_name(one.group, comparison), str(one.count), _with_interval(one.mean)]
        row += [_with_interval(one.iqm) if one.iqm else ""] if with_middle else []
        row += _compared(differences.get(one.group)) if metric.differences else []
        row += [_taken(differences.get(one.group))] if with_excess else []
        rows.append(row)
    aside = f", {better} is better" if better else "" if metric.judged else ", for information"
    return table(f"{metric.title}{aside}", columns, rows, class_="numbers")


def _name(group: str, comparison: Comparison) -> Any:
    note = "before training" if group == START else ""
    if group == comparison.baseline and comparison.groups[1:]:
        note = "baseline"
    return joined([group, " ", tag("span", note, class_="note")]) if note else group


def _compared(difference: Difference | None) -> list[str]:
    if difference is None:
        return ["", "", ""]
    share, p = difference.improvement, difference.p_corrected
    return [
        _with_interval(difference.difference, sign=True),
        f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]" if share else "",
        f"{p:.2g}" if p is not None else "",
    ]


def _taken(difference: Difference | None) -> str:
    share = difference.excess.share if difference and difference.excess else None
    if share is None:
        return ""
    ends = "" if share.low is None else f" [{percent(share.low, share)}, {percent(share.high, share)}]"
    return f"{percent(share.value, share)} %{ends}"


def _with_interval(estimate: Estimate | None, *, sign: bool = False) -> str:
    if estimate is None:
        return "none"
    say = signed if sign else number
    if estimate.low is None:
        return say(estimate.value)
    return f"{say(estimate.value, estimate)} [{say(estimate.low, estimate)}, {say(estimate.high, estimate)}]"
