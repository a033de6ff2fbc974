import pytest

from expctl.rewards.arithmetic import accuracy

RIGHT = " 7+8=15 3+5+1=9 so 95"


def test_a_right_final_answer_earns_one():
    assert accuracy([RIGHT, RIGHT + "\n"], ["95", "95"]) == [1.0, 1.0]


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "95",
        " so",
        " so 9",
        " so 955",
        " so 095",
        " so -95",
        " 9+5=95 so 96",
        " so 95 so 96",
        " so 95 wait 7+8=15",
        " also 95",
        " so 95.",
        " so 9 5",
    ],
)
def test_nothing_but_the_right_final_answer_earns_anything(completion):
    assert accuracy([completion], ["95"]) == [0.0]


def test_only_the_last_answer_counts():
    assert accuracy([" so 96 wait 7+8=15 so 95"], ["95"]) == [1.0]


def test_a_conversation_is_judged_by_its_last_message():
    conversation = [{"role": "assistant", "content": " so 12"}, {"role": "assistant", "content": RIGHT}]
    assert accuracy([conversation], ["95"]) == [1.0]


def test_rows_are_judged_each_by_its_own_answer_and_other_columns_are_ignored():
    rewards = accuracy(completions=[" so 10", " so 11"], answer=["11", "11"], prompts=["5+6=", "5+6="], step=3)
    assert rewards == [0.0, 1.0]


def test_rows_and_answers_of_different_number_are_refused():
    with pytest.raises(ValueError):
        accuracy([RIGHT, RIGHT], ["95"])
