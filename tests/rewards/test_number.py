"""A number is right where it equals the number that was asked for; nothing else is."""

import pytest

from expctl.rewards.number import accuracy


def test_no_wrong_answer_is_accepted_and_only_numbers_are_scored(answer_table):
    wrong = answer_table("wrong", "algebra")
    scores = accuracy([text for text, _ in wrong], answer=[right for _, right in wrong])
    assert 1.0 not in scores and 0.0 in scores and None in scores


def test_the_right_numbers_of_the_table_are_accepted(answer_table):
    right = answer_table("right")
    scores = accuracy([text for text, _ in right], answer=[answer for _, answer in right])
    scored = [score for score in scores if score is not None]
    assert len(scored) > 150 and sum(scored) >= 0.95 * len(scored)


@pytest.mark.parametrize("answer", ["B", "x+1", "1, 2, 3", "(1,2)", r"\\pm 2", "", None, "about 5"])
def test_a_row_whose_answer_is_no_number_is_not_scored(answer):
    assert accuracy([r"\\boxed{5}"], answer=[answer]) == [None]


def test_what_is_cut_off_or_still_thinks_earns_nothing():
    completions = [r"\boxed{5}", r"<think>\boxed{5}", r"<think>6</think>\boxed{5}"]
    assert accuracy(completions, answer=["5"] * 3, truncated=[True, False, False]) == [0.0, 0.0, 1.0]
