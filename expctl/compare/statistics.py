"""What a few seeds can say, on plain numbers. Sizes are numbers of runs (seeds), levels are 0 to 1.

Which interval is used where was decided by simulation (normal, bounded, skewed values and values with outliers; 2,000
samples each, stated level 0.95); tests/compare/test_statistics.py repeats a part of it:

- Percentile and BCa bootstrap of the mean cover 0.70 to 0.76 of the time with 3 seeds, 0.83 with 5 and 0.90 with 10: a
  resample never leaves the range of what was seen. Student's t covers 0.92 to 0.95 from 3 on, save 0.89 where values
  are strongly skewed; the studentised bootstrap is as good from 8 on, and better there (0.92).
- For the probability of improvement the bootstrap covers 0.40 to 0.81 with 3 seeds (it says "surely" whenever two
  groups do not overlap) and 0.85 with 10 where the effect is large; Newcombe's score interval covers 0.91 to
  0.97 throughout.
"""

import warnings
from collections.abc import Sequence
from typing import Any

from expctl.compare.comparison import Estimate

# From so many runs a group on the bootstrap is used, and interquartile means say something.
ENOUGH_FOR_BOOTSTRAP = 8
RESAMPLES = 4999
MOST_SEEDS = 100
POWER = 0.8
# Sums of equal numbers differ in the last bits: a spread below this share of the values is none.
_ROUNDING = 1e-12


def mean(values: Sequence[float], level: float) -> Estimate:
    """Mean of n runs; interval by Student's t, from 8 runs on by the studentised bootstrap.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), 12.5, on `scipy.stats.bootstrap`'s resamples. Fewer
    than two runs have no interval.
    """
    import numpy
    from scipy import stats

    x = numpy.asarray(values, float)
    if len(x) >= ENOUGH_FOR_BOOTSTRAP and (interval := _studentised(x, level)):
        return Estimate(float(x.mean()), *interval, "studentised bootstrap")
    if _spread(x) == 0:
        return Estimate(float(x.mean()))
    return _with_t_interval(float(x.mean()), stats.ttest_1samp(x, 0.0), level)


def interquartile_mean(values: Sequence[float], level: float) -> Estimate | None:
    """Mean of the middle half (a quarter of the runs cut off at either end), None below 8 runs.

    Agarwal et al. 2021 (arXiv 2108.13264), section 4.3, with `scipy.stats.bootstrap` over the runs. The percentiles are
    widened for small n as in Hesterberg 2015 (arXiv 1411.5279), section 5.3: unwidened they cover 0.93 to 0.94.
    """
    import numpy
    from scipy import stats

    n = len(values)
    if n < ENOUGH_FOR_BOOTSTRAP:
        return None
    x = numpy.asarray(values, float)
    centre = float(stats.trim_mean(x, 0.25))
    if _spread(x) == 0:
        return Estimate(centre)
    tail = stats.norm.cdf(-((n / (n - 1)) ** 0.5) * stats.t.ppf((1 + level) / 2, n - 1))
    resampled = _bootstrap(x, lambda sample, axis: stats.trim_mean(sample, 0.25, axis=axis), 1 - 2 * float(tail))
    interval = resampled.confidence_interval
    return Estimate(centre, float(interval.low), float(interval.high), "bootstrap")


def paired_difference(group: Sequence[float], baseline: Sequence[float], level: float) -> tuple[Estimate, float | None]:
    """Mean of n differences by pair (group minus baseline), its t interval, and p of Student's paired test.

    The interval and the test agree: 0 lies outside at level L just where p < 1 - L. Where both groups are the same the
    differences are symmetric, whatever the values' own distribution, and the test is wrong at most as often as it says.
    """
    import numpy
    from scipy import stats

    differences = numpy.asarray(group, float) - numpy.asarray(baseline, float)
    scale = max(map(abs, [*group, *baseline]), default=0.0)
    value, n = float(differences.mean()), len(differences)
    is_zero = abs(value) <= _ROUNDING * scale
    if n < 2:
        return Estimate(0.0 if is_zero else value), None
    if _spread(differences, scale) == 0:
        if is_zero:
            return Estimate(0.0, 0.0, 0.0, "t"), 1.0
        # n times the very same difference, as coarse metrics have it: all that is known is that the signs agree.
        return Estimate(value), float(_p_of_constants(n, paired=True))
    test = stats.ttest_1samp(differences, 0.0)
    return _with_t_interval(value, test, level), float(test.pvalue)


def unpaired_difference(
    group: Sequence[float], baseline: Sequence[float], level: float
) -> tuple[Estimate, float | None]:
    """Difference of the means of two groups whose seeds differ, its interval, and p of Welch's test."""
    import numpy
    from scipy import stats

    x, y = numpy.asarray(group, float), numpy.asarray(baseline, float)
    value = float(x.mean() - y.mean())
    if min(len(x), len(y)) < 2:
        return Estimate(value), None
    if _spread(x) == _spread(y) == 0:
        if abs(value) <= _ROUNDING * max(abs(x[0]), abs(y[0])):
            return Estimate(0.0, 0.0, 0.0, "t"), 1.0
        return Estimate(value), float(_p_of_constants(min(len(x), len(y)), paired=False))
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # one group may have no spread
        test = stats.ttest_ind(x, y, equal_var=False)
    return _with_t_interval(value, test, level), float(test.pvalue)


def probability_of_improvement(group: Sequence[float], baseline: Sequence[float], level: float) -> Estimate:
    """How often a run of the group is above one of the baseline, over all pairs of runs, a tie counting half.

    Agarwal et al. 2021 (arXiv 2108.13264), section 4.3, that is Mann and Whitney's U by the number of pairs. The
    interval is Newcombe's (Statistics in Medicine 25, 2006, 559-573, method 5): all values that the observed one
    does not contradict. Where metrics are better when they are lower, hand them over negated.
    """
    import numpy
    from scipy import stats

    x, y = numpy.asarray(group, float)[:, None], numpy.asarray(baseline, float)[None, :]
    observed = float(((x > y) + 0.5 * (x == y)).mean())
    pairs, extra = x.size * y.size, (x.size + y.size) / 2 - 1
    possible = numpy.linspace(0, 1, 10_001)
    spread = possible * (1 - possible) / pairs
    spread *= 1 + extra * ((1 - possible) / (2 - possible) + possible / (1 + possible))
    z = stats.norm.ppf((1 + level) / 2)
    inside = possible[numpy.abs(possible - observed) <= z * numpy.sqrt(spread) + 1e-9]
    return Estimate(observed, float(inside.min()), float(inside.max()), "newcombe")


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979, 65-70); None stays, uncounted."""
    known = sorted((p, position) for position, p in enumerate(probabilities) if p is not None)
    corrected: list[float | None] = [None] * len(probabilities)
    largest = 0.0
    for rank, (p, position) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[position] = largest
    return corrected


def seeds_needed(difference: float, spread: float, alpha: float, *, paired: bool = True) -> int | None:
    """The fewest seeds a group, 3 to 100, with which a two-sided t test at `alpha` shows a difference with 80 % power.

    `spread` is the standard deviation of the paired differences, or of a run within its group where not `paired`. None:
    more than 100, or no difference.
    """
    import numpy

    n = numpy.arange(3, MOST_SEEDS + 1)
    shows = abs(difference) >= spread * _shown_by(n, alpha, paired) if spread else _p_of_constants(n, paired) <= alpha
    enough = n[shows] if difference else []
    return int(enough[0]) if len(enough) else None


def detectable(spread: float, seeds: int, alpha: float, *, paired: bool = True) -> float | None:
    """The smallest difference that so many seeds a group show with 80 % power; None below two."""
    return float(spread * _shown_by(seeds, alpha, paired)) if seeds >= 2 else None


def standard_deviation(values: Sequence[float]) -> float:
    """Of the runs, with n - 1; 0 below two."""
    import numpy

    return _spread(numpy.asarray(values, float))


def _shown_by(n: Any, alpha: float, paired: bool) -> Any:
    """The effect, in standard deviations, that n (one, or an array) seeds a group show with 80 % power.

    (t of the test + t of the power) standard errors: within one seed of the non-central t from 3 seeds on.
    """
    from scipy import stats

    freedom, error = (n - 1, n**-0.5) if paired else (2 * n - 2, (2 / n) ** 0.5)
    return (stats.t.ppf(1 - alpha / 2, freedom) + stats.t.ppf(POWER, freedom)) * error


def _p_of_constants(n: Any, paired: bool) -> Any:
    """p where nothing spreads, so that t says nothing: of all signs of n pairs, or splits of 2 n runs, 2 look so."""
    from scipy import special

    return 2.0 ** (1 - n) if paired else 2 / special.comb(2 * n, n)


def _studentised(x: Any, level: float) -> tuple[float, float] | None:
    """None where so many values are equal that resamples have no spread of their own."""
    import numpy

    if _spread(x) == 0:
        return None
    centre, root = x.mean(), len(x) ** 0.5

    def studentised(sample: Any, axis: int) -> Any:
        error = sample.std(axis=axis, ddof=1) / root
        away = sample.mean(axis=axis) - centre
        with numpy.errstate(divide="ignore", invalid="ignore"):
            return numpy.where(error > _ROUNDING * abs(centre), away / error, numpy.copysign(numpy.inf, away))

    resampled = _bootstrap(x, studentised, level).bootstrap_distribution
    low, high = numpy.quantile(resampled, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    if not numpy.isfinite([low, high]).all():
        return None
    error = _spread(x) / root
    return float(centre - high * error), float(centre - low * error)


def _bootstrap(x: Any, statistic: Any, level: float) -> Any:
    """The same numbers give the same interval."""
    from scipy import stats

    return stats.bootstrap(
        (x,), statistic, n_resamples=RESAMPLES, confidence_level=level, method="percentile", vectorized=True, rng=0
    )


def _with_t_interval(value: float, test: Any, level: float) -> Estimate:
    """The value with the interval that belongs to a t test of scipy's."""
    interval = test.confidence_interval(level)
    return Estimate(value, float(interval.low), float(interval.high), "t")


def _spread(x: Any, scale: float = 0.0) -> float:
    """Standard deviation; 0 where only rounding makes one."""
    if len(x) < 2:
        return 0.0
    deviation = float(x.std(ddof=1))
    return deviation if deviation > _ROUNDING * max(scale, float(abs(x).max())) else 0.0
