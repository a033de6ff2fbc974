"""The length penalty is free up to a length, whole from a limit on, and falls softly between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.rewards.length import cosine_length, length_penalty, per_token, within_limit


def penalties(lengths: list[int], **options) -> list[float]:
    return length_penalty(["x"] * len(lengths), completion_ids=[[0] * length for length in lengths], **options)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_ends_and_middle_of_the_fall(shape):
    assert penalties([0, 10, 20, 30, 99], free=10, limit=30, shape=shape) == pytest.approx([0, 0, -0.5, -1, -1])


def test_linear_is_the_soft_overlong_punishment_of_dapo():
    # Equation 13: (L_max - L_cache - length) / L_cache, with L_max = 30 and L_cache = 20.
    assert penalties([14, 25], free=10, limit=30) == pytest.approx([(30 - 20 - 14) / 20, (30 - 20 - 25) / 20])


def test_cosine_starts_flatter_and_ends_flatter_than_linear():
    linear, cosine = (penalties([12, 28], free=10, limit=30, shape=shape) for shape in ("linear", "cosine"))
    assert cosine[0] > linear[0]
    assert cosine[1] < linear[1]


@given(st.lists(st.integers(0, 60), min_size=2, max_size=8), st.sampled_from(["linear", "cosine"]))
def test_longer_is_never_better(lengths, shape):
    fall = penalties(sorted(lengths), free=10, limit=30, shape=shape)
    assert fall == sorted(fall, reverse=True)
    assert all(-1.0 <= penalty <= 0.0 for penalty in fall)


@pytest.mark.parametrize(("free", "limit"), [(30, 30), (40, 30), (-1, 30)])
def test_a_free_length_that_is_not_below_the_limit_is_refused(free, limit):
    with pytest.raises(ValueError, match=f"free={free} and limit={limit}"):
        penalties([5], free=free, limit=limit)


def test_an_unknown_shape_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="shape=quadratic is unknown; linear or cosine"):
        penalties([5], free=1, limit=2, shape="quadratic")


def test_beyond_the_limit_nothing_is_rewarded_and_within_it_what_another_reward_says():
    def half(completions, answer, **columns):
        assert len(columns["completion_ids"]) == len(completions)
        return [None if text == "?" else 0.5 for text in answer]

    ids = [[0] * length for length in (3, 4, 5, 4)]
    got = within_limit(["x"] * 4, ids, reward=half, limit=4, answer=["a", "b", "c", "?"])
    assert got == [0.5, 0.5, 0.0, None]


def of(function, values, lengths, **options):
    """A reward by length, over a reward of these values."""
    ids = [[0] * length for length in lengths]
    return function(["x"] * len(ids), completion_ids=ids, reward=lambda **columns: values, **options)


def test_the_cosine_has_the_paper_s_ends_and_middle():
    """Equation 1 with its defaults: 2 to 1 where it is right, -10 to 0 where it is wrong, -10 at the limit."""
    lengths = [0, 50, 99, 100, 0, 50, 99, 100, 7]
    values = [1.0] * 4 + [0.0] * 4 + [None]
    got = of(cosine_length, values, lengths, limit=100)
    assert got[:2] == pytest.approx([2.0, 1.5]) and got[2] == pytest.approx(1.0, abs=1e-3) and got[3] == -10
    assert got[4:6] == pytest.approx([-10.0, -5.0]) and got[6] == pytest.approx(0.0, abs=1e-2) and got[7] == -10
    assert got[8] is None


@given(st.lists(st.integers(0, 99), min_size=2, max_size=8))
def test_the_cosine_prefers_short_where_it_is_right_and_long_where_it_is_wrong(lengths):
    lengths = sorted(lengths)
    right = of(cosine_length, [1.0] * len(lengths), lengths, limit=100)
    wrong = of(cosine_length, [0.0] * len(lengths), lengths, limit=100)
    assert right == sorted(right, reverse=True) and wrong == sorted(wrong)
    assert min(right) > max(wrong)


def test_a_reward_per_token_is_whole_up_to_a_length_and_half_at_twice_it():
    assert of(per_token, [1.0, 1.0, 1.0, 2.0, None], [0, 10, 20, 40, 5], free=10) == [1.0, 1.0, 0.5, 0.5, None]
