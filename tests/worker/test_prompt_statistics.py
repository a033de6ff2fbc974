"""Statistics of an evaluation against their definitions, counted out."""

import math
from itertools import combinations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.algorithms.scored_completion import ScoredCompletion
from expctl.runs.prompt_values import pass_at
from expctl.worker.prompt_statistics import by_prompt, interval, per_prompt


def scored(prompt, reward, *, row=None, tokens=3, ended=True, answers=None):
    rewards = reward if isinstance(reward, dict) else {"right": reward}
    return ScoredCompletion(prompt, "text", tokens, ended, rewards, row, answers or {})


@given(st.data())
def test_pass_at_k_is_the_share_of_the_choices_of_k_completions_with_a_right_one(data):
    n = data.draw(st.integers(1, 8))
    right = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    choices = list(combinations([True] * right + [False] * (n - right), k))
    assert pass_at(k, n, right) == pytest.approx(sum(map(any, choices)) / len(choices), abs=1e-12)


def test_each_prompt_has_its_mean_its_pass_at_k_and_its_majority():
    rewards = [[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], [0.0] * 4]
    completions = [scored(f"p{row}", value, row=row) for row, values in enumerate(rewards) for value in values]
    values = per_prompt(by_prompt(completions, 4), {"right": 2.0})
    assert values["rewards/right/mean"] == [0.75, 0.25, 0.0] and values["reward"] == [1.5, 0.5, 0.0]
    assert values["rewards/right/pass@1"] == pytest.approx([0.75, 0.25, 0.0])
    assert values["rewards/right/pass@2"] == pytest.approx([1.0, 0.5, 0.0])
    assert values["rewards/right/pass@4"] == [1.0, 1.0, 0.0]
    assert values["rewards/right/more_than_half"] == [1.0, 0.0, 0.0] and "rewards/right/majority" not in values
    assert values["completions/mean_length"] == [3.0] * 3 and values["completions/clipped_ratio"] == [0.0] * 3


@pytest.mark.parametrize(
    ("right", "answers", "wins"),
    [
        # Two of five are right, and no other answer was given twice.
        ([1, 0, 0, 1, 0], ["18", "17", "16", "18", "15"], 1.0),
        # The same wrong number in three spellings outvotes two right ones.
        ([1, 1, 0, 0, 0], ["18", "18", "1,200", "$1200.00", "so it is 1200"], 0.0),
        # What gives no answer does not vote.
        ([0, 0, 0, 1, 0], ["", "unfinished", "(an open or empty mark)", "18", ""], 1.0),
        ([0, 0, 0], ["", "", "unfinished"], 0.0),
        # Of equals the first counts.
        ([1, 0, 0, 1], ["18", "17", "17", "18"], 1.0),
        ([0, 1, 1, 0], ["17", "18", "18", "17"], 0.0),
        # Right ones are one answer, however a function that compares by algebra has found them so.
        ([1, 1, 0, 0, 0], ["x+1", "1+x", "x-1", "y", "2 x"], 1.0),
    ],
)
def test_the_majority_is_of_the_answers_that_were_read(right, answers, wins):
    completions = [
        scored("p", float(value), row=0, answers={"right": answer})
        for value, answer in zip(right, answers, strict=True)
    ]
    values = per_prompt(by_prompt(completions, len(right)), {"right": 1.0})
    assert values["rewards/right/majority"] == [wins] and "rewards/right/more_than_half" not in values


def test_a_reward_that_is_not_right_or_wrong_has_no_pass_at_k():
    completions = [scored("p", value, row=0) for value in (0.5, 1.0)]
    assert not [key for key in per_prompt(by_prompt(completions, 2), {"right": 1.0}) if "pass@" in key]


def test_a_completion_without_a_reward_does_not_count_in_it():
    completions = [scored("p", {"a": None, "b": 2.0}, row=0), scored("p", {"a": 1.0, "b": 4.0}, row=0)]
    values = per_prompt(by_prompt(completions, 2), {"a": 1.0, "b": 1.0})
    assert values["rewards/a/mean"] == [1.0] and values["rewards/b/mean"] == [3.0] and values["reward"] == [3.5]
    nothing = per_prompt(by_prompt([scored("p", {"a": None}, row=0)], 1), {"a": 1.0})
    assert nothing["reward"] == [] and nothing["rewards/a/mean"] == []


def test_completions_of_a_stream_are_grouped_as_they_were_sampled():
    groups = by_prompt([scored("same", 1.0) for _ in range(6)], 3)
    assert [len(group) for group in groups] == [3, 3]


@pytest.mark.parametrize("draw", [lambda r: r.binomial(1, 0.8, 60) * 1.0, lambda r: r.beta(2, 1, 60)])
def test_the_interval_covers_the_mean_as_often_as_it_says(draw):
    generator = numpy.random.default_rng(0)
    true = 0.8 if draw(numpy.random.default_rng(1)).max() == 1.0 else 2 / 3
    covered = 0
    for _ in range(400):
        low, high = interval(draw(generator).tolist())
        covered += low <= true <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_there_is_no_interval_where_nothing_spreads_but_of_shares():
    assert interval([3.0, 3.0]) is None and interval([1.0]) is None
    low, high = interval([1.0] * 100)
    assert high == pytest.approx(1.0) and math.isclose(low, 1 / (1 + 1.959963984540054**2 / 100), rel_tol=1e-9)


def test_the_interval_of_shares_does_not_leave_them():
    low, high = interval([1.0] * 20 + [0.75])
    assert low < high == 1.0
    assert interval([5.0] * 20 + [1.0])[1] > 5.0
