"""What a comparison says, as plain data: the terminal, plots and pages show it, none of them computes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Words of a verdict. Where it is not known which way a metric is good, `higher` and `lower` take the place of the first
# two.
BETTER, WORSE = "better", "worse"
HIGHER, LOWER = "higher", "lower"
NO_DIFFERENCE, IDENTICAL, TOO_FEW = "no difference shown", "identical", "too few seeds"


@dataclass(frozen=True)
class Estimate:
    """A number with its interval at the comparison's level; `low` and `high` are None where there is none.

    `method`: how the interval was made (`t`, `bootstrap`, `studentised bootstrap`, `newcombe`, `fieller`), see
    `expctl.compare.statistics` and `expctl.compare.ratio`.
    """

    value: float
    low: float | None = None
    high: float | None = None
    method: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """`low` and `high`, where there is an interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class RunValue:
    """One run's value of one metric; None where it is missing or no finite number."""

    run_id: str
    seed: int | None
    value: float | None


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed.

    `label` is for people and unique (`algorithm=gfpo learning_rate=0.001`); `settings` is what it is made of, by
    key. `runs` are ids, `folders` where they lie, `overrides` the words that a command for one more seed takes.
    """

    label: str
    settings: dict[str, Any]
    runs: list[str]
    folders: list[Path]
    seeds: list[int | None]
    overrides: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SeedStatistics:
    """One metric of one group: `mean` and, of 8 runs and more, the interquartile mean; None where no run has it.

    `values` has every run of the group in its order; `count` those that have a number.
    """

    group: str
    count: int
    mean: Estimate | None
    iqm: Estimate | None
    values: list[RunValue]


@dataclass(frozen=True)
class Verdict:
    """`word` is one of the constants of this module; `seeds_needed` is how many a group would need to show a
    difference as large as the observed one with 80 % power (None: none was observed, or more than 100)."""

    word: str
    sentence: str
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Excess:
    """What a group took away of what the baseline added to the start in training (arXiv 2508.09726, equation 4).

    `share` is (baseline - group) / (baseline - start): 1 where the group ended at the start, negative where it added
    more than the baseline; None where it would mean nothing, as where the baseline is not shown to have added anything.
    `start`, `baseline` and `group` are means over `seeds`, those of both groups, None where there are none.
    """

    share: Estimate | None
    start: float | None
    baseline: float | None
    group: float | None
    seeds: list[int]
    sentence: str


@dataclass(frozen=True)
class Difference:
    """A group against the baseline, in one metric.

    `difference` is group minus baseline, in the unit of the metric: the mean over `pairs` of the same seed where
    `paired`, else the difference of the means. `relative` is its share of the baseline's mean, where the metric is on a
    ratio scale and the runs are paired. `improvement` is the probability that a run of the group is better
    (higher, where that is not known) than one of the baseline, 0 to 1. `p` is of the test that there is no difference,
    `p_corrected` after Holm's correction over all judged differences. `detectable` is the smallest difference that so
    many seeds would show with 80 % power. `verdict` is None where the metric is for information,
    `excess` where it was not asked for.

    `over` is what is paired: `seed`, or `prompt` where two evaluations answered the same ones; these have `test`, the
    name of the test, and `spread`, the standard deviation of the differences, and no `improvement`.
    """

    group: str
    baseline: str
    paired: bool
    pairs: int
    seeds: list[int | None]
    difference: Estimate | None
    relative: Estimate | None
    improvement: Estimate | None
    p: float | None
    p_corrected: float | None
    detectable: float | None
    verdict: Verdict | None
    excess: Excess | None = None
    over: str = "seed"
    test: str | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Metric:
    """One metric over all groups, in the order of `Comparison.groups`; differences are those to the baseline.

    `name` is its key in summary.json, `title` what a person calls it, `unit` the word for what it counts. `better` is
    `higher`, `lower`, or None where it is not known. Only a `judged` metric has verdicts. `start` is the evaluation
    before training, one value a seed, where all groups were evaluated then and agree.
    """

    name: str
    title: str
    unit: str | None
    better: str | None
    judged: bool
    groups: list[SeedStatistics]
    differences: list[Difference]
    start: SeedStatistics | None = None


@dataclass(frozen=True)
class Comparison:
    """From runs to conclusions.

    `question`: what is compared, in words. `varied`: key -> its values over the groups, what the configs differ in.
    `baseline` is the label of a group. `corrected_for` counts the tests that p is corrected for. `warnings`: what a
    reader should know before believing it. `refusals`: what was not compared, and why. `more_seeds`: commands that
    make the missing seeds. `budget`: at which use the runs were compared (`tokens=47000`); None for their ends.
    """

    question: str
    level: float
    baseline: str
    varied: dict[str, list[Any]]
    groups: list[Group]
    metrics: list[Metric]
    corrected_for: int
    warnings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    more_seeds: list[str] = field(default_factory=list)
    budget: str | None = None

    def metric(self, name: str) -> Metric | None:
        """The metric with this key of summary.json, where it was compared."""
        return next((metric for metric in self.metrics if metric.name == name), None)
