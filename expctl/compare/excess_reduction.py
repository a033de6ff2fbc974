"""What groups took away of what the baseline had added in training: GFPO's measure of length.

Shrivastava et al. 2025 (arXiv 2508.09726), section 4, equation 4: excess length reduction, ELR = (L_GRPO - L_GFPO) /
(L_GRPO - L_SFT), of mean lengths, SFT being the model that both trainings start from. Here the start is the evaluation
before training of the baseline's own runs, and L may be any metric that was evaluated then and after.
"""

from collections.abc import Sequence
from dataclasses import replace

from expctl.compare import comparability, metrics, statistics
from expctl.compare.comparison import Estimate, Excess, Metric
from expctl.compare.groups import Grouped
from expctl.compare.ratio import ratio_of_means
from expctl.compare.verdict import interval, number, percent, signed


def excess(metric: Metric, groups: Sequence[Grouped], level: float) -> Metric:
    """The metric with `excess` in each difference; the first group is the baseline."""
    baseline, *others = groups
    found = [_of(metric, baseline, one, level) for one in others]
    return replace(
        metric, differences=[replace(one, excess=taken) for one, taken in zip(metric.differences, found, strict=True)]
    )


def _of(metric: Metric, baseline: Grouped, one: Grouped, level: float) -> Excess:
    """Over the seeds that both have, with the baseline's start."""
    ends = {
        record.seed: value for record in one.records if (value := metrics.value_of(record, metric.name)) is not None
    }
    rows = [
        (record.seed, record.before.get(metric.name), metrics.value_of(record, metric.name), ends[record.seed])
        for record in baseline.records
        if record.seed is not None and record.seed in ends
    ]
    rows = [row for row in rows if None not in row]
    seeds, start, base, group = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    share, said = _share(metric, baseline, one, (start, base, group), level)
    means = {
        name: sum(those) / len(those) if those else None
        for name, those in (("start", start), ("baseline", base), ("group", group))
    }
    return Excess(share=share, seeds=seeds, sentence=f"{metric.title}: {said}", **means)


def _share(
    metric: Metric, baseline: Grouped, one: Grouped, values: tuple[list[float], ...], level: float
) -> tuple[Estimate | None, str]:
    """The share, None where it would mean nothing, and what it is or why there is none."""
    start, base, group = values
    counted = f"{len(start)} seed{'s' if len(start) != 1 else ''}"
    of = f"what {one.label} took away of what {baseline.label} added"
    if other := comparability.other_start([baseline, one]):
        return None, f"{of} cannot be said: they did not start from the same, by {', '.join(other[:4])}"
    if len(start) < 2:
        return None, f"{of} cannot be said of {counted} with an evaluation before training, at least 2 are needed"
    added, _ = statistics.paired_difference(base, start, level)
    first, last, end = (number(sum(those) / len(those), added) for those in values)
    unit = f" {metric.unit}" if metric.unit else ""
    if added.value <= 0 or (added.low is not None and added.low <= 0):
        change = f"{first} to {last}{unit} ({signed(added.value, added)}, {interval(added)}{counted})"
        if added.value > 0 or (added.high is not None and added.high > 0):
            return None, f"that {baseline.label} added anything is not shown: {change}, so no share of it can be said"
        return None, f"{baseline.label} added nothing: {change}, so there is no excess to take away"
    taken = [one - other for one, other in zip(base, group, strict=True)]
    share = ratio_of_means(taken, [one - other for one, other in zip(base, start, strict=True)], level)
    ends = (
        "the very same in each"
        if share.low is None
        else f"{percent(share.low, share)} to {percent(share.high, share)} %"
    )
    return share, (
        f"{one.label} took away {percent(share.value, share)} % ({ends}; {counted}) of what {baseline.label} added: "
        f"{first}{unit} at the start, {last} with {baseline.label}, {end} with {one.label}"
    )
