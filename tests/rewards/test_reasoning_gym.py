"""The task's own scorer, fed with what a model writes."""

import json

import pytest

from expctl.rewards.reasoning_gym import accuracy

ENTRY = json.dumps({"question": "2+3?", "answer": "5", "metadata": {}})


def score(text, task="gcd", entry=ENTRY) -> float:
    return accuracy([text], task=[task], entry=[entry])[0]


def test_the_last_tagged_answer_counts():
    assert score("<answer>4</answer> no: <answer> 5\n</answer>") == 1.0
    assert score("<answer>5</answer> no: <answer>4</answer>") == 0.0


@pytest.mark.parametrize("text", ["", "5", "<answer>5", "5</answer>", "<answer></answer>"])
def test_an_answer_without_its_form_earns_nothing(text):
    assert score(text) == 0.0


def test_a_scorer_that_gives_part_of_the_score_is_passed_on():
    assert 0.0 < score("<answer>it is 5</answer>") < 1.0


def test_a_scorer_that_raises_on_an_answer_counts_it_as_wrong():
    # This one calls int() on the parts of whatever the model wrote.
    entry = json.dumps({"question": "?", "answer": "2 × 3", "metadata": {"number": 6, "factors": [2, 3]}})
    assert score("<answer>two times three</answer>", "prime_factorization", entry) == 0.0
    assert score("<answer>2 × 3</answer>", "prime_factorization", entry) == 1.0


def test_conversations_are_scored_and_every_row_by_its_own_task():
    completions = [[{"role": "assistant", "content": "<answer>5</answer>"}], "<answer>5</answer>"]
    assert accuracy(completions, task=["gcd", "lcm"], entry=[ENTRY, ENTRY]) == [1.0, 1.0]
