"""Fieller's interval against the test that it inverts, and its coverage; percentages where they mean something."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthetic import run, two_algorithms

from expctl.compare.conclusion import compare_runs
from expctl.compare.ratio import ratio_of_means

LENGTH = "eval_completions/mean_length"
number = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 2))


@given(st.lists(st.tuples(number, number), min_size=2, max_size=10))
def test_its_ends_are_the_ratios_that_students_test_just_does_not_refute(pairs):
    above, below = map(numpy.array, zip(*pairs, strict=True))
    found = ratio_of_means(above, below, 0.95)
    if found and found.low is not None and found.high - found.low > 1e-3:
        assert found.low <= found.value <= found.high
        for end in (found.low, found.high):
            assert stats.ttest_1samp(above - end * below, 0).pvalue == pytest.approx(0.05, rel=1e-3)


@given(st.lists(number, min_size=2, max_size=10))
def test_there_is_one_just_where_the_denominator_is_shown_not_to_be_zero(below):
    below = numpy.array(below)
    if len(set(below)) > 1 and below.mean() != 0 and abs((p := stats.ttest_1samp(below, 0).pvalue) - 0.05) > 1e-6:
        assert (ratio_of_means(below**2, below, 0.95) is not None) == (p < 0.05)


def test_one_pair_and_pairs_of_the_same_ratio_have_no_interval_and_a_zero_below_no_ratio():
    for above, below in (([3.0], [4.0]), ([6.0, 7.5, 9.0], [8.0, 10.0, 12.0])):
        found = ratio_of_means(above, below, 0.95)
        assert (found.value, found.low, found.high) == (pytest.approx(0.75), None, None)
    assert ratio_of_means([1.0, 2.0], [1.0, -1.0], 0.95) is None


def test_numbers_of_any_size_have_the_same_ratio():
    above, below = numpy.array([3.0, 4.0, 5.0]), numpy.array([10.0, 11.0, 12.5])
    found = ratio_of_means(above, below, 0.95)
    for size in (1e300, 1e-300):
        scaled = ratio_of_means(size * above, size * below, 0.95)
        assert (scaled.value, scaled.low, scaled.high) == pytest.approx((found.value, found.low, found.high))


@pytest.mark.parametrize(("count", "kind", "stated"), [(3, "normal", 0.95), (5, "normal", 0.95), (5, "skewed", 0.92)])
def test_the_interval_of_a_share_of_what_was_added_covers_at_the_stated_rate(count, kind, stated):
    """Start, baseline and group of each seed; the group takes 0.6 of the baseline's 20 tokens away."""
    random = numpy.random.default_rng(count)

    def spread():
        if kind == "normal":
            return random.normal(0, 4, (1500, count))
        return 4 * (random.lognormal(0, 0.7, (1500, count)) - numpy.exp(0.245)) / 1.02

    start = random.normal(40, 1, (1500, count))
    baseline, group = start + 20 + spread(), start + 8 + spread()
    found = [ratio_of_means(*pair, 0.95) for pair in zip(baseline - group, baseline - start, strict=True)]
    covered = numpy.array([one.low <= 0.6 <= one.high for one in found if one])
    assert len(covered) > 1300 and covered.mean() >= stated - 4 * (stated * (1 - stated) / len(covered)) ** 0.5


def test_a_difference_in_tokens_is_a_percentage_too_and_one_in_accuracy_is_not(tmp_path):
    measured = [
        [{LENGTH: length + seed, "eval_reward": reward + seed**2 / 1e4} for seed, length in enumerate(lengths)]
        for lengths, reward in (([39.0, 41.5, 40.0, 41.0], 0.8), ([30.0, 31.0, 30.5, 30.0], 0.9))
    ]
    comparison = compare_runs(two_algorithms(tmp_path, *measured))
    (length,), (reward,) = (comparison.metric(name).differences for name in (LENGTH, "eval_reward"))
    mean = comparison.metric(LENGTH).groups[0].mean.value
    assert length.relative.value == pytest.approx(length.difference.value / mean)
    assert length.relative.low < length.relative.value < length.relative.high < 0
    assert "by 10.0 tokens, 24 % (" in length.verdict.sentence and " %;" in length.verdict.sentence
    assert reward.relative is None and "%" not in reward.verdict.sentence


def test_values_that_are_not_above_zero_have_no_percentages(tmp_path):
    folders = [
        run(tmp_path, seed, {"eval_loss": rate + least + seed**2 / 100}, config={"args.learning_rate": rate})
        for least in (0.0, -0.1)
        for rate in (0.1, 0.5)
        for seed in range(4)
    ]
    for those, known in ((folders[:8], True), (folders[8:], False)):
        (difference,) = compare_runs(those).metric("eval_loss").differences
        assert (difference.relative is not None) == known
