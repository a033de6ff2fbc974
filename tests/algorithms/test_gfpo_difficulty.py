import json
import math
import random

import pytest
from fastdigest import TDigest
from hypothesis import given
from hypothesis import strategies as st

from expctl.algorithms.difficulty import AdaptiveDifficulty, mid_rank


def fed(means, warmup_steps=0, batch=10, **keywords) -> AdaptiveDifficulty:
    adaptive = AdaptiveDifficulty(warmup_steps=warmup_steps, **keywords)
    for start in range(0, len(means), batch):
        adaptive.remains([[mean] * 4 for mean in means[start : start + batch]])
    return adaptive


def exact_mid_rank(values, value):
    return (sum(v < value for v in values) + sum(v == value for v in values) / 2) / len(values)


@pytest.mark.parametrize("size", [100, 1000, 10_000])
def test_mid_rank_of_the_digest_is_that_of_the_values(size):
    random_numbers = random.Random(size)
    for draw in (
        random_numbers.random,
        lambda: sum(random_numbers.random() < 0.3 for _ in range(16)) / 16,
        lambda: 0.0 if random_numbers.random() < 0.6 else random_numbers.random(),
        lambda: float(random_numbers.random() < 0.4),
    ):
        means = [draw() for _ in range(size)]
        digest = fed(means).digest
        for value in sorted(set(means))[:: max(size // 50, 1)]:
            assert mid_rank(digest, value) == pytest.approx(exact_mid_rank(means, value), abs=1 / size + 0.005)


def test_prompts_of_uniform_difficulty_fall_evenly_and_keep_six_and_a_half_of_sixteen():
    random_numbers = random.Random(0)
    adaptive = fed([random_numbers.random() for _ in range(2000)])
    kept = adaptive.remains([[random_numbers.random()] * 16 for _ in range(2000)])
    assert sum(kept) / len(kept) == pytest.approx(6.5, abs=0.15)
    quartiles = [adaptive.quartile(random_numbers.random()) for _ in range(2000)]
    for quartile in range(4):
        assert quartiles.count(quartile) / 2000 == pytest.approx(0.25, abs=0.03)


def test_the_hardest_prompts_stay_very_hard_when_a_quarter_of_all_has_the_lowest_mean():
    adaptive = fed([0.0] * 40 + [i / 60 for i in range(1, 61)])
    assert adaptive.remains([[0.0] * 4, [1.0] * 4]) == [8, 4]


def test_when_all_prompts_are_alike_none_counts_as_easy_or_very_hard():
    for mean in (0.0, 0.5, 1.0):
        adaptive = fed([mean] * 500)
        assert adaptive.quartile(mean) == 2


def test_harder_prompts_never_keep_fewer():
    random_numbers = random.Random(1)
    adaptive = fed([sum(random_numbers.random() < 0.5 for _ in range(8)) / 8 for _ in range(300)])
    kept = adaptive.remains([[i / 8] * 8 for i in range(9)])
    assert kept == sorted(kept, reverse=True)


def test_warm_up_keeps_the_most_and_learns_meanwhile():
    adaptive = AdaptiveDifficulty(warmup_steps=2, very_hard=5, easy=2)
    assert adaptive.remains([[0.0] * 8, [1.0] * 8]) == [5, 5]
    assert adaptive.remains([[0.0] * 8, [1.0] * 8]) == [5, 5]
    assert adaptive.remains([[0.0] * 8, [1.0] * 8]) == [5, 2]
    assert adaptive.digest.n_values == 6


def test_a_group_that_cannot_be_scored_counts_as_very_hard_and_is_not_learnt():
    adaptive = fed([0.25, 0.5, 0.75, 1.0])
    assert adaptive.remains([[math.nan] * 4]) == [8]
    assert adaptive.digest.n_values == 4


def test_unscorable_completions_are_left_out_of_the_mean():
    with_nan, without = fed([0.1, 0.9]), fed([0.1, 0.9])
    with_nan.remains([[1.0, math.nan, 0.0]])
    without.remains([[1.0, 0.0]])
    assert with_nan.digest == without.digest


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_a_digest_saved_as_json_and_restored_carries_on_as_if_never_stopped(before, after):
    kept_on, stopped = fed(before), fed(before)
    restored = AdaptiveDifficulty(warmup_steps=0)
    restored.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    groups = [[mean] * 4 for mean in after]
    assert restored.remains(groups) == kept_on.remains(groups)
    assert restored.state_dict() == kept_on.state_dict()


def test_a_larger_history_stays_small():
    adaptive = fed([i / 5000 for i in range(5000)], max_centroids=100)
    assert isinstance(adaptive.digest, TDigest)
    assert adaptive.digest.n_centroids <= 100


def test_a_k_that_does_not_fit_the_group_is_refused_by_name():
    with pytest.raises(ValueError, match="very_hard=8 completions, but num_generations is 4"):
        AdaptiveDifficulty().check(4)
    with pytest.raises(ValueError, match="easy=1 "):
        AdaptiveDifficulty(easy=1).check(16)
    AdaptiveDifficulty().check(16)
