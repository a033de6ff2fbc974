"""Ratios of two means over the same seeds.

Coverage of Fieller's interval at the stated level 0.95, by simulation (20,000 samples each of a share of 0.6 of what a
baseline added; normal, bounded, skewed values and values with outliers, the spread of a run a third to a thirtieth of
the denominator): 0.93 to 0.96 with 3 seeds, 0.92 to 0.96 with 5 and with 10; for normal values 0.95 throughout, for
skewed ones 0.92 to 0.94. Where the denominator is half to twice a run's spread, an interval is given in 8 to 90 % of
samples, and those given cover 0.93 to 0.95. `scipy.stats.bootstrap` over the pairs (600 normal samples) covers 0.69 to
0.73 of the time with 3 seeds, 0.80 to 0.85 with 5 and 0.88 to 0.90 with 10, BCa no better than percentile.
tests/compare/test_ratio.py repeats a part.
"""

from collections.abc import Sequence

from expctl.compare.comparison import Estimate

# Pairs of the very same ratio differ in the last bits.
_ROUNDING = 1e-12


def ratio_of_means(numerators: Sequence[float], denominators: Sequence[float], level: float) -> Estimate | None:
    """Mean of n numerators by the mean of their n denominators, the pairs being seeds, with Fieller's interval.

    That is all ratios r for which Student's test does not refute that the mean of numerator - r * denominator is 0
    (Fieller, Journal of the Royal Statistical Society B 16, 1954, 175-185): exact for normal values, however the two
    depend on each other. It has ends just where the t interval of the denominators' mean leaves out 0; elsewhere any
    ratio is possible, and there is None. Fewer than two pairs, or pairs with the very same ratio, have no interval.
    """
    import numpy
    from scipy import stats

    y, x = numpy.asarray(numerators, float), numpy.asarray(denominators, float)
    if not x.any():
        return None
    # Squares of what is near 1 are neither infinite nor zero.
    scale = (float(abs(y).max()) or 1.0), float(abs(x).max())
    y, x, n = y / scale[0], x / scale[1], len(x)
    unit, above, below = scale[0] / scale[1], float(y.mean()), float(x.mean())
    if below == 0:
        return None
    value = unit * above / below
    if n < 2:
        return Estimate(value)
    (yy, yx), (_, xx) = numpy.cov(y, x) / n * float(stats.t.ppf((1 + level) / 2, n - 1)) ** 2
    square = below**2 - xx
    if square <= 0:
        return None
    middle = above * below - yx
    squared = middle**2 - square * (above**2 - yy)
    if squared <= _ROUNDING * middle**2:
        return Estimate(value)
    half = squared**0.5
    return Estimate(value, float(unit * (middle - half) / square), float(unit * (middle + half) / square), "fieller")
