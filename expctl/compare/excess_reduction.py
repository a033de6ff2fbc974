"""What groups took away of what the baseline had added in training: GFPO's measure of length.

Shrivastava et al. 2025 (arXiv 2508.09726), section 4, equation 4: excess length reduction, ELR = (L_GRPO - L_GFPO) /
(L_GRPO - L_SFT), of mean lengths, SFT being the model that both trainings start from. Here the start is the evaluation
before training of the baseline's own runs, and L may be any metric that was evaluated then and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from expctl.compare import comparability, metrics, statistics
from expctl.compare.comparison import Estimate, Excess, Metric
from expctl.compare.groups import Grouped
from expctl.compare.ratio import ratio_of_means
from expctl.compare.verdict import SAME_IN_EACH, count, interval, number, percent, signed


def with_excess(metric: Metric, groups: Sequence[Grouped], level: float) -> Metric:
    """The metric with `excess` in each difference; the first group is the baseline."""
    baseline, *others = groups
    differences = [
        replace(difference, excess=_excess(metric, baseline, group, level))
        for difference, group in zip(metric.differences, others, strict=True)
    ]
    return replace(metric, differences=differences)


@dataclass(frozen=True)
class _Values:
    """A metric over the seeds of two groups: at the baseline's start, at its end, and at the group's end."""

    seeds: list[int]
    start: list[float]
    baseline: list[float]
    group: list[float]


def _excess(metric: Metric, baseline: Grouped, group: Grouped, level: float) -> Excess:
    values = _common(metric, baseline, group)
    share, sentence = _share(metric, baseline, group, values, level)
    return Excess(
        share=share,
        start=_mean(values.start),
        baseline=_mean(values.baseline),
        group=_mean(values.group),
        seeds=values.seeds,
        sentence=f"{metric.title}: {sentence}",
    )


def _common(metric: Metric, baseline: Grouped, group: Grouped) -> _Values:
    """Over the seeds that have all three values."""
    ends = {record.seed: metrics.value_of(record, metric.name) for record in group.records}
    values = _Values([], [], [], [])
    for record in baseline.records:
        start, end = record.before.get(metric.name), metrics.value_of(record, metric.name)
        other = ends.get(record.seed)
        if record.seed is None or start is None or end is None or other is None:
            continue
        values.seeds.append(record.seed)
        values.start.append(start)
        values.baseline.append(end)
        values.group.append(other)
    return values


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _share(
    metric: Metric, baseline: Grouped, group: Grouped, values: _Values, level: float
) -> tuple[Estimate | None, str]:
    """The share, None where it would mean nothing, and what it is or why there is none."""
    counted = count(len(values.seeds), "seed")
    what = f"what {group.label} took away of what {baseline.label} added"
    if settings := comparability.other_start([baseline, group]):
        return None, f"{what} cannot be said: they did not start from the same, by {', '.join(settings[:4])}"
    if len(values.seeds) < 2:
        return None, f"{what} cannot be said of {counted} with an evaluation before training, at least 2 are needed"
    added, _ = statistics.paired_difference(values.baseline, values.start, level)
    start, end, other = (number(_mean(each), added) for each in (values.start, values.baseline, values.group))
    unit = f" {metric.unit}" if metric.unit else ""
    if added.value <= 0 or (added.low is not None and added.low <= 0):
        change = f"{start} to {end}{unit} ({signed(added.value, added)}, {interval(added)}{counted})"
        if added.value > 0 or (added.high is not None and added.high > 0):
            return None, f"that {baseline.label} added anything is not shown: {change}, so no share of it can be said"
        return None, f"{baseline.label} added nothing: {change}, so there is no excess to take away"
    share = ratio_of_means(
        [x - y for x, y in zip(values.baseline, values.group, strict=True)],
        [x - y for x, y in zip(values.baseline, values.start, strict=True)],
        level,
    )
    assert share is not None  # the interval of what was added leaves out 0
    ends = SAME_IN_EACH
    if share.interval:
        low, high = share.interval
        ends = f"{percent(low, share)} to {percent(high, share)} %"
    return share, (
        f"{group.label} took away {percent(share.value, share)} % ({ends}; {counted}) of what {baseline.label} added: "
        f"{start}{unit} at the start, {end} with {baseline.label}, {other} with {group.label}"
    )
