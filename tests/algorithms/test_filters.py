import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.algorithms.filter_memory import memories
from expctl.algorithms.filters import (
    KeepContrast,
    Shortest,
    TokenEfficiency,
    WeightedFilters,
    best,
    keep_contrast,
    resolve_filter,
)

NAN = math.nan


FEW_REWARDS = st.sampled_from([-1.0, 0.0, 0.25, 1.0, NAN])


@st.composite
def groups(draw, rewards=FEW_REWARDS):
    """One group: G rewards, lengths with ties, and a k."""
    size = draw(st.integers(2, 12))
    return (
        draw(st.lists(rewards, min_size=size, max_size=size)),
        draw(st.lists(st.integers(1, 6), min_size=size, max_size=size)),
        draw(st.integers(2, size)),
    )


def kept(group_filter, rewards, lengths, k) -> list[int]:
    scores = group_filter(
        [[""] * len(rewards)], [rewards], group_completion_lengths=[lengths], num_remains=[k], group_prompts=None
    )
    return best(scores[0], rewards, k)


@given(groups())
def test_shortest_keeps_no_completion_longer_than_one_it_rejects(group):
    rewards, lengths, k = group
    chosen = kept(Shortest(), rewards, lengths, k)
    scored = [i for i, reward in enumerate(rewards) if not math.isnan(reward)]
    rejected = [i for i in scored if i not in chosen]
    assert len(chosen) == k
    assert all(lengths[i] <= lengths[j] for i in chosen if i in scored for j in rejected)


@given(groups())
def test_completions_that_no_reward_could_score_are_kept_last(group):
    rewards, lengths, k = group
    scored = sum(not math.isnan(reward) for reward in rewards)
    for group_filter in (Shortest(), TokenEfficiency(), KeepContrast(), WeightedFilters(["shortest"])):
        chosen = kept(group_filter, rewards, lengths, k)
        assert sum(not math.isnan(rewards[i]) for i in chosen) == min(scored, k)


@given(st.integers(2, 9), st.data())
def test_equal_scores_keep_the_earlier_completions(size, data):
    k = data.draw(st.integers(1, size))
    assert best([3.0] * size, [0.0] * size, k) == list(range(k))


@given(groups(), st.randoms())
def test_permuting_a_group_permutes_what_is_kept(group, shuffler):
    rewards, lengths, k = group
    lengths = [len(rewards) * length + i for i, length in enumerate(lengths)]  # no ties: those go by place
    order = list(range(len(rewards)))
    shuffler.shuffle(order)
    for group_filter in (Shortest(), WeightedFilters(["shortest"])):
        before = kept(group_filter, rewards, lengths, k)
        after = kept(group_filter, [rewards[i] for i in order], [lengths[i] for i in order], k)
        if not any(map(math.isnan, rewards)):
            assert sorted(order[i] for i in after) == before


@given(groups(st.floats(-1, 1)), st.floats(0.1, 10), st.floats(-5, 5))
def test_shortest_ignores_a_positive_affine_change_of_the_rewards(group, scale, shift):
    rewards, lengths, k = group
    changed = [scale * reward + shift for reward in rewards]
    assert kept(Shortest(), changed, lengths, k) == kept(Shortest(), rewards, lengths, k)


def test_token_efficiency_does_not_ignore_a_shift_of_the_rewards():
    rewards, lengths = [1.0, 1.0, 0.0, 0.0], [10, 20, 10, 40]
    plain = TokenEfficiency(keep_contrast=False)
    assert kept(plain, [reward - 1 for reward in rewards], lengths, 3) == [0, 1, 3]
    assert kept(plain, rewards, lengths, 3) == [0, 1, 2]
    assert kept(TokenEfficiency(offset=-1, keep_contrast=False), rewards, lengths, 3) == [0, 1, 3]


@given(groups(), st.integers(1, 9))
def test_token_efficiency_ignores_a_common_scaling_of_all_lengths(group, scale):
    rewards, lengths, k = group
    scaled = [2**scale * length for length in lengths]
    assert kept(TokenEfficiency(), rewards, scaled, k) == kept(TokenEfficiency(), rewards, lengths, k)


def test_with_signed_rewards_token_efficiency_keeps_the_longest_of_the_wrong():
    assert kept(TokenEfficiency(), [1.0, -1.0, -1.0, -1.0], [10, 10, 40, 20], 2) == [0, 2]


def test_a_completion_without_tokens_does_not_divide_by_zero():
    assert kept(TokenEfficiency(), [0.0, 1.0, 1.0], [0, 0, 4], 2) == [0, 1]


@given(groups())
def test_a_group_with_contrast_keeps_contrast(group):
    rewards, lengths, k = group
    different = {reward for reward in rewards if not math.isnan(reward)}
    for group_filter in (TokenEfficiency(), KeepContrast("shortest"), KeepContrast("token_efficiency")):
        left = {rewards[i] for i in kept(group_filter, rewards, lengths, k) if not math.isnan(rewards[i])}
        assert len(left) > 1 or len(different) <= 1


def test_without_the_guard_as_many_correct_as_k_leave_no_contrast():
    rewards, lengths = [1.0, 1.0, 0.0, 0.0], [10, 40, 10, 40]
    assert kept(TokenEfficiency(keep_contrast=False), rewards, lengths, 2) == [0, 1]
    assert kept(TokenEfficiency(), rewards, lengths, 2) == [0, 2]


@given(groups())
def test_the_guard_changes_nothing_where_the_kept_set_has_contrast(group):
    rewards, lengths, k = group
    scores = [[-float(length) for length in lengths]]
    left = {rewards[i] for i in best(scores[0], rewards, k) if not math.isnan(rewards[i])}
    if len(left) != 1:
        assert keep_contrast(scores, [rewards], [k]) == scores


@given(groups(), st.floats(0.1, 5))
def test_one_filter_weighted_keeps_what_it_keeps_alone(group, weight):
    rewards, lengths, k = group
    both = WeightedFilters(["shortest", "token_efficiency"], [weight, 0.0])
    assert kept(both, rewards, lengths, k) == kept(Shortest(), rewards, lengths, k)


def test_weights_move_the_choice_from_one_filter_to_the_other():
    rewards, lengths = [1.0, 0.9, -1.0, -0.5], [30, 25, 5, 6]
    for weights, expected in (([1, 0], [2, 3]), ([0, 1], [0, 1])):
        efficiency = TokenEfficiency(keep_contrast=False)
        assert kept(WeightedFilters([Shortest(), efficiency], weights), rewards, lengths, 2) == expected


def test_filters_come_by_name_by_path_by_class_and_as_they_are():
    assert isinstance(resolve_filter("shortest"), Shortest)
    assert isinstance(resolve_filter("expctl.algorithms.filters.TokenEfficiency"), TokenEfficiency)
    assert isinstance(resolve_filter(Shortest), Shortest)
    assert resolve_filter("builtins.len") is len
    assert resolve_filter(max) is max


@pytest.mark.parametrize(
    ("given_filter", "said"),
    [
        ("shortests", "Did you mean 'shortest'"),
        ("nothing_like_it", "token_efficiency"),
        ("expctl.algorithms.filters.Shortes", "cannot be imported"),
        ("no_such_package.filter", "cannot be imported"),
        ("math.pi", "must be callable"),
        (4, "must be callable"),
    ],
)
def test_a_filter_that_cannot_be_found_is_refused_with_a_way_out(given_filter, said):
    with pytest.raises(ValueError, match=said):
        resolve_filter(given_filter)


def test_a_filter_that_decides_k_is_refused_inside_another():
    for wrapper in (KeepContrast, lambda inner: WeightedFilters([inner])):
        with pytest.raises(ValueError, match="AdaptiveDifficulty decides how many are kept"):
            wrapper("adaptive_difficulty")


def test_weights_and_filters_must_match():
    with pytest.raises(ValueError, match="2 filters but 1 weights"):
        WeightedFilters(["shortest", "shortest"], [1.0])


class Remembering(Shortest):
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_the_memory_of_a_filter_inside_others_is_found():
    inner = Remembering()
    assert memories(KeepContrast(WeightedFilters(["shortest", inner]))) == [inner]
    assert memories(inner) == [inner]
    assert memories(Shortest()) == memories(None) == []


ARMS = [(1.0, 10), (1.0, 40), (0.0, 10), (0.0, 40)]  # reward and length of short/long right, short/long wrong


def bandit(group_filter, k, steps=150, group=16, learning_rate=0.1, seed=0) -> list[float]:
    """Probabilities of the four arms after GFPO with a softmax policy; k = G is GRPO."""
    random_numbers, logits = random.Random(seed), [0.0] * 4
    for _ in range(steps):
        weights = [math.exp(logit) for logit in logits]
        policy = [weight / sum(weights) for weight in weights]
        drawn = random_numbers.choices(range(4), policy, k=group)
        rewards = [ARMS[arm][0] for arm in drawn]
        chosen = kept(group_filter, rewards, [ARMS[arm][1] for arm in drawn], k)
        mean = sum(rewards[i] for i in chosen) / k
        deviation = math.sqrt(sum((rewards[i] - mean) ** 2 for i in chosen) / (k - 1)) + 1e-4
        for i in chosen:
            advantage = (rewards[i] - mean) / deviation / k
            for arm in range(4):
                logits[arm] += learning_rate * advantage * ((arm == drawn[i]) - policy[arm])
    weights = [math.exp(logit) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def averaged(*args, **keywords):
    runs = [bandit(*args, seed=seed, **keywords) for seed in range(6)]
    return [sum(arm) / len(runs) for arm in zip(*runs, strict=True)]


def test_on_a_bandit_shortest_prefers_the_short_right_answer_where_grpo_does_not():
    grpo, gfpo = averaged(Shortest(), 16), averaged(Shortest(), 8)
    assert abs(grpo[0] - grpo[1]) < 0.15
    assert gfpo[0] > 3 * gfpo[1]
    assert min(grpo[0] + grpo[1], gfpo[0] + gfpo[1]) > 0.8


def test_on_a_bandit_token_efficiency_learns_accuracy_only_with_the_guard():
    def accuracy(**keywords):
        return sum(averaged(TokenEfficiency(**keywords), 4, steps=300)[:2])

    assert accuracy(keep_contrast=False) < 0.75
    assert accuracy() > 0.9
