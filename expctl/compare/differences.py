"""One metric over all groups: means, differences from the baseline, and what they mean once all are known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from expctl.compare import metrics, prompts, statistics
from expctl.compare.before_training import start_summary
from expctl.compare.comparison import Difference, Estimate, Metric, RunValue, SeedStatistics
from expctl.compare.groups import Grouped
from expctl.compare.ratio import ratio_of_means
from expctl.compare.verdict import FEWEST, verdict


def compare_metric(name: str, groups: Sequence[Grouped], level: float) -> Metric:
    """Means and differences of one metric, the first group being the baseline; no verdicts yet."""
    better = metrics.direction(name, groups)
    summaries = [_summary(name, group, level) for group in groups]
    return Metric(
        name=name,
        title=metrics.title(name, groups),
        unit=metrics.unit(name),
        better=better,
        judged=metrics.is_judged(name),
        groups=summaries,
        differences=[
            by_prompts(_difference(name, summary, summaries[0], level, better), name, group, groups[0], level)
            for group, summary in zip(groups[1:], summaries[1:], strict=True)
        ],
        start=start_summary(name, groups, level),
    )


def by_prompts(by_seeds: Difference, name: str, group: Grouped, baseline: Grouped, level: float) -> Difference:
    """The difference prompt by prompt, where both groups evaluated the same ones and there are too few seeds."""
    seeds = by_seeds.pairs if by_seeds.paired else min(len(group.records), len(baseline.records))
    values = prompts.of_both(name, group, baseline) if seeds < FEWEST else None
    if values is None:
        return by_seeds
    difference, p, test = prompts.difference(*values, level)
    return replace(
        by_seeds,
        paired=True,
        pairs=len(values[0]),
        seeds=[],
        difference=difference,
        relative=None,
        improvement=None,
        p=p,
        over="prompt",
        test=test,
        spread=statistics.standard_deviation([x - y for x, y in zip(*values, strict=True)]),
    )


def with_verdicts(compared: Sequence[Metric], alpha: float) -> list[Metric]:
    """Verdicts on all differences of the judged metrics, corrected for each other.

    A difference of fewer than 3 seeds gets no p that counts: it is no test, and takes nothing from the others.
    """
    pairs = [(metric, difference) for metric in compared if metric.judged for difference in metric.differences]
    tested = [difference.p if _seeds(metric, difference) >= FEWEST else None for metric, difference in pairs]
    corrected = statistics.holm(tested)
    # A seed more is to help in the first step of the correction, which is the hardest.
    strict = alpha / max(1, sum(p is not None for p in tested) or len(pairs))
    judged = {}
    for (metric, difference), p in zip(pairs, corrected, strict=True):
        judged[id(difference)] = _judged(metric, difference, p, alpha, strict)
    return [
        replace(metric, differences=[judged.get(id(difference), difference) for difference in metric.differences])
        for metric in compared
    ]


def _judged(metric: Metric, difference: Difference, p: float | None, alpha: float, strict: float) -> Difference:
    seeds, spread = _seeds(metric, difference), _spread(metric, difference)
    needed = detectable = None
    if difference.difference is not None and seeds >= 2:
        # More prompts are had by evaluating on more, and not by another run.
        if difference.over == "seed":
            needed = statistics.seeds_needed(difference.difference.value, spread, strict, paired=difference.paired)
        detectable = statistics.detectable(spread, seeds, strict, paired=difference.paired)
    conclusion = verdict(
        title=metric.title,
        unit=metric.unit,
        group=difference.group,
        baseline=difference.baseline,
        better=metric.better,
        seeds=seeds,
        paired=difference.paired,
        difference=difference.difference,
        relative=difference.relative,
        p=difference.p,
        p_corrected=p,
        alpha=alpha,
        over=difference.over,
        test=difference.test,
        needed=needed,
        detectable=detectable,
    )
    return replace(difference, p_corrected=p, detectable=detectable, verdict=conclusion)


def _seeds(metric: Metric, difference: Difference) -> int:
    """Pairs, or the runs of the smaller group."""
    counts = {summary.group: summary.count for summary in metric.groups}
    return difference.pairs if difference.paired else min(counts[difference.group], counts[difference.baseline])


def _spread(metric: Metric, difference: Difference) -> float:
    """Standard deviation of the paired differences, or of a run within the two groups."""
    if difference.spread is not None:
        return difference.spread
    summaries = {summary.group: summary for summary in metric.groups}
    group, baseline = summaries[difference.group], summaries[difference.baseline]
    if difference.paired:
        first, second = _by_seed(group), _by_seed(baseline)
        seeds = [seed for seed in difference.seeds if seed is not None]
        return statistics.standard_deviation([first[seed] - second[seed] for seed in seeds])
    squares = [statistics.standard_deviation(_numbers(summary)) ** 2 for summary in (group, baseline)]
    return math.sqrt(sum(squares) / 2)


def _summary(name: str, group: Grouped, level: float) -> SeedStatistics:
    values = [RunValue(record.run_id, record.seed, metrics.value_of(record, name)) for record in group.records]
    known = [value.value for value in values if value.value is not None]
    mean = statistics.mean(known, level) if known else None
    return SeedStatistics(group.label, len(known), mean, statistics.interquartile_mean(known, level), values)


def _difference(
    name: str, group: SeedStatistics, baseline: SeedStatistics, level: float, better: str | None
) -> Difference:
    """Without what needs all others: the corrected p, and the verdict."""
    first, second = _numbers(group), _numbers(baseline)
    seeds_of_group, seeds_of_baseline = _by_seed(group), _by_seed(baseline)
    common = [seed for seed in seeds_of_group if seed in seeds_of_baseline]
    paired = 2 * len(common) > max(len(first), len(second))
    improvement = _improvement(first, second, better, level) if first and second else None
    difference: Estimate | None = None
    relative: Estimate | None = None
    p: float | None = None
    if paired:
        first, second = [seeds_of_group[seed] for seed in common], [seeds_of_baseline[seed] for seed in common]
        difference, p = statistics.paired_difference(first, second, level)
        if metrics.has_ratio_scale(name) and min(first + second) > 0:
            relative = ratio_of_means([x - y for x, y in zip(first, second, strict=True)], second, level)
    elif first and second:
        difference, p = statistics.unpaired_difference(first, second, level)
    return Difference(
        group=group.group,
        baseline=baseline.group,
        paired=paired,
        pairs=len(common) if paired else 0,
        seeds=list(common) if paired else [],
        difference=difference,
        relative=relative,
        improvement=improvement,
        p=p,
        p_corrected=None,
        detectable=None,
        verdict=None,
    )


def _improvement(group: Sequence[float], baseline: Sequence[float], better: str | None, level: float) -> Estimate:
    sign = -1.0 if better == "lower" else 1.0
    return statistics.probability_of_improvement(
        [sign * value for value in group], [sign * value for value in baseline], level
    )


def _numbers(summary: SeedStatistics) -> list[float]:
    return [value.value for value in summary.values if value.value is not None]


def _by_seed(summary: SeedStatistics) -> Mapping[int, float]:
    """Seed -> value, of the runs that have both."""
    return {run.seed: run.value for run in summary.values if run.seed is not None and run.value is not None}
