"""One answer in a marked form is what the format reward wants; right or wrong does not matter."""

import pytest

from expctl.rewards.answer_format import one_answer


@pytest.mark.parametrize(
    "text",
    ["<answer>5</answer>", "2+3\n#### 5", r"so \boxed{5}.", r"so $\boxed{\frac{1}{2}}$", "a\n<answer>x y</answer>\n"],
)
def test_one_marked_answer_at_the_end_is_whole(text):
    assert one_answer([text]) == [1.0]


@pytest.mark.parametrize(
    "text",
    ["", "5", "<answer></answer>", "<answer>5", "####", "<answer>5</answer><answer>5</answer>", "#### 5\n#### 6"],
)
def test_no_answer_or_several_are_nothing(text):
    assert one_answer([text]) == [0.0]


def test_talking_on_after_the_answer_is_half():
    assert one_answer(["<answer>5</answer> because 2+3 is 5"]) == [0.5]


def test_a_pattern_of_ones_own_replaces_the_forms():
    assert one_answer(["=> 5", "<answer>5</answer>"], pattern=r"=> \d+") == [1.0, 0.0]


def test_a_conversation_counts_by_its_last_message():
    assert one_answer([[{"role": "assistant", "content": "<answer>5</answer>"}]]) == [1.0]
