"""One metric over all groups: means, differences to the baseline, and what they mean once all are known."""

from collections.abc import Sequence
from dataclasses import replace

from expctl.compare import metrics, statistics
from expctl.compare.before_training import start
from expctl.compare.comparison import Difference, Estimate, Metric, RunValue, Summary
from expctl.compare.groups import Grouped
from expctl.compare.ratio import ratio_of_means
from expctl.compare.verdict import FEWEST, verdict


def measure(name: str, groups: Sequence[Grouped], level: float) -> Metric:
    """Means and differences of one metric, the first group being the baseline; no verdicts yet."""
    better = metrics.direction(name, groups)
    summaries = [_summary(name, one, level) for one in groups]
    return Metric(
        name=name,
        title=metrics.title(name, groups),
        unit=metrics.unit(name),
        better=better,
        judged=metrics.is_judged(name),
        groups=summaries,
        differences=[_difference(name, one, summaries[0], level, better) for one in summaries[1:]],
        start=start(name, groups, level),
    )


def judge(measured: Sequence[Metric], alpha: float) -> list[Metric]:
    """Verdicts on all differences of the judged metrics, corrected for each other.

    A difference of fewer than 3 seeds gets no p that counts: it is no test, and takes nothing from the others.
    """
    places = [(metric, one) for metric in measured if metric.judged for one in metric.differences]
    tested = [one.p if _seeds(metric, one) >= FEWEST else None for metric, one in places]
    corrected = statistics.holm(tested)
    # A seed more is to help in the first step of the correction, which is the hardest.
    strict = alpha / max(1, sum(p is not None for p in tested) or len(places))
    found = {
        id(one): _judged(metric, one, p, alpha, strict) for (metric, one), p in zip(places, corrected, strict=True)
    }
    return [replace(metric, differences=[found.get(id(one), one) for one in metric.differences]) for metric in measured]


def _judged(metric: Metric, one: Difference, p: float | None, alpha: float, strict: float) -> Difference:
    seeds, spread = _seeds(metric, one), _spread(metric, one)
    needed = detectable = None
    if one.difference is not None and seeds >= 2:
        needed = statistics.seeds_needed(one.difference.value, spread, strict, paired=one.paired)
        detectable = statistics.detectable(spread, seeds, strict, paired=one.paired)
    said = verdict(
        title=metric.title, unit=metric.unit, group=one.group, baseline=one.baseline, better=metric.better,
        seeds=seeds, paired=one.paired, difference=one.difference, relative=one.relative, p=one.p, p_corrected=p,
        alpha=alpha, needed=needed, detectable=detectable,
    )  # fmt: skip
    return replace(one, p_corrected=p, detectable=detectable, verdict=said)


def _seeds(metric: Metric, one: Difference) -> int:
    """Pairs, or the runs of the smaller group."""
    counts = {summary.group: summary.count for summary in metric.groups}
    return one.pairs if one.paired else min(counts[one.group], counts[one.baseline])


def _spread(metric: Metric, one: Difference) -> float:
    """Of the paired differences, or of a run within the two groups."""
    first, second = (
        {value.seed if one.paired else value.run_id: value.value for value in summary.values if value.value is not None}
        for name in (one.group, one.baseline)
        for summary in metric.groups
        if summary.group == name
    )
    if one.paired:
        return statistics.standard_deviation([first[seed] - second[seed] for seed in one.seeds])
    squares = [statistics.standard_deviation(list(values.values())) ** 2 for values in (first, second)]
    return (sum(squares) / 2) ** 0.5


def _summary(name: str, one: Grouped, level: float) -> Summary:
    values = [RunValue(record.run_id, record.seed, metrics.value_of(record, name)) for record in one.records]
    known = [value.value for value in values if value.value is not None]
    mean = statistics.mean(known, level) if known else None
    return Summary(one.label, len(known), mean, statistics.interquartile_mean(known, level), values)


def _difference(name: str, group: Summary, baseline: Summary, level: float, better: str | None) -> Difference:
    """Without what needs all others: the corrected p, and the verdict."""
    x, y = ([value for value in one.values if value.value is not None] for one in (group, baseline))
    first, second = [one.value for one in x], [one.value for one in y]
    sign = -1.0 if better == "lower" else 1.0
    improvement = None
    if x and y:
        improvement = statistics.probability_of_improvement(
            [sign * one for one in first], [sign * one for one in second], level
        )
    seeds = {one.seed: one.value for one in y if one.seed is not None}
    common = [one for one in x if one.seed in seeds]
    difference: Estimate | None = None
    relative: Estimate | None = None
    p, paired = None, 2 * len(common) > max(len(x), len(y))
    if paired:
        first, second = [one.value for one in common], [seeds[one.seed] for one in common]
        difference, p = statistics.paired_difference(first, second, level)
        if metrics.has_ratio_scale(name) and min(first + second) > 0:
            relative = ratio_of_means([one - other for one, other in zip(first, second, strict=True)], second, level)
    elif x and y:
        difference, p = statistics.unpaired_difference(first, second, level)
    return Difference(
        group=group.group, baseline=baseline.group, paired=paired, pairs=len(common) if paired else 0,
        seeds=[one.seed for one in common] if paired else [], difference=difference, relative=relative,
        improvement=improvement, p=p, p_corrected=None, detectable=None, verdict=None,
    )  # fmt: skip
