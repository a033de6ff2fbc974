"""A right final number is found however a model writes it, and a wrong one never counts."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.rewards.math_answer import accuracy, number


def score(text: str, answer) -> float | None:
    return accuracy([text], answer=[answer])[0]


@pytest.mark.parametrize(
    "text",
    [
        "6 * 3 = 18\n#### 18",
        "#### 18 ",
        "####18.",
        "#### $18.00",
        r"so \boxed{18}",
        r"so $\boxed{18}$.",
        r"\boxed{\frac{36}{2}}",
        r"\boxed{\text{18 dollars}}",
        r"first \boxed{17}, no: \boxed{18}",
        r"\boxed{x = 18}",
        "<answer>18</answer>",
        "<answer>\n18 apples\n</answer>",
        "She pays 9 + 9 = 18.",
        "The answer is 18",
        "The answer is **18**.",
        "36/2 is 18 dollars.",
    ],
)
def test_eighteen_is_right_in_every_form(text):
    assert score(text, "18") == 1.0
    assert score(text, "some work\n#### 18") == 1.0
    assert score(text, 18) == 1.0
    assert score(text, "19") == 0.0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#### 1,200", "1200"),
        ("#### 1200", "1,200"),
        (r"\boxed{1{,}200}", "1200"),
        (r"\boxed{\dfrac{1}{2}}", "0.5"),
        ("so it is 1/2", "0.5"),
        (r"\boxed{50\%}", "50"),
        ("it is -4", "-4"),
        ("it is \u22124", "-4"),
        ("3-7 = -4", "-4"),
        ("#### .5", "0.5"),
        ("#### 1e3", "1000"),
    ],
)
def test_numbers_are_compared_by_value(text, answer):
    assert score(text, answer) == 1.0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", "18"),
        ("no number", "18"),
        ("18 or 19", "18"),
        ("it is 118", "18"),
        ("it is 1.8", "18"),
        ("9-4", "-4"),
        (r"18, so \boxed{17}", "18"),
        (r"18, so \boxed{", "19"),
        ("<answer>18</answer> no, <answer>17</answer>", "18"),
        ("<answer>17 or 18</answer>", "18"),
        ("#### 18 / 0", "18"),
        ("1/0", "0"),
    ],
)
def test_a_wrong_or_undecided_answer_is_wrong(text, answer):
    assert score(text, answer) == 0.0


def test_an_answer_that_is_no_number_is_compared_as_text():
    assert score(r"\boxed{\text{Monday}}", "Monday") == 1.0
    assert score("I think.\n<answer>monday.</answer>", "Monday") == 1.0
    assert score("Tuesday", "Monday") == 0.0
    assert score(r"\boxed{x^2 + 1}", "x^2+1") == 1.0


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_a_row_without_a_right_answer_is_not_scored(nothing):
    assert score("#### 18", nothing) is None


def test_conversations_are_scored_by_their_last_message():
    thought = {"role": "assistant", "content": "#### 17"}
    assert accuracy([[thought, {"role": "assistant", "content": "#### 18"}]], answer=["18"]) == [1.0]
    assert accuracy([[{"role": "assistant", "content": None}]], answer=["18"]) == [0.0]


@pytest.mark.parametrize(
    "text", ["9" * 1_000_000, "1e999999999", "1e-999", "9" * 50 + "/" + "9" * 50, "-" * 100_000, "1," * 100_000]
)
def test_numbers_of_any_length_are_read_without_arithmetic_that_takes_seconds(text):
    # Without the bounds, some of these take minutes or raise; a generous limit tells the two apart.
    start = time.process_time()
    assert score(text, "18") == 0.0
    assert time.process_time() - start < 5


# After "a = b", a number is a factor of b, so what stands before the number is words here.
WORDS = st.sampled_from(["", "so", "it is", "a", "we get", "x =", "the answer is", "9 + 9 =", "a = b =", "\n", "7.\n"])


@given(st.integers(-(10**12), 10**12), WORDS)
def test_every_integer_after_any_words_is_read_back(value, words):
    assert score(f"{words} {value:,}", str(value)) == 1.0
    assert number(f"${value}") == value


@given(st.text(max_size=200), st.text(max_size=20))
def test_no_text_raises(text, answer):
    assert score(text, answer) in (0.0, 1.0, None)
