"""No wrong answer is accepted, and a right one in nearly every form: a table, and numbers drawn at random."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from expctl.rewards.math_answer import same_answer


def test_the_table_is_large_enough(answer_table):
    assert len(answer_table("wrong")) >= 300
    assert len(answer_table("right")) >= 300


def test_no_wrong_answer_is_accepted(answer_table):
    assert [row for row in answer_table("wrong", "algebra") if same_answer(*row)] == []


def test_at_least_95_percent_of_the_right_answers_are_accepted(answer_table):
    right = answer_table("right")
    refused = [row for row in right if not same_answer(*row)]
    assert len(refused) <= 0.05 * len(right), refused


def test_an_answer_of_thousands_of_digits_equals_itself_alone():
    digits = "9" * 5000
    assert same_answer(rf"\boxed{{{digits}}}", digits)
    assert not same_answer(rf"\boxed{{{digits}8}}", digits)
    assert not same_answer(rf"\boxed{{{digits}}}", digits + "8")


PIECES = [r"\boxed{", "<answer>", "{", "(", r"\frac{", "1,", "####", "<think>", "[", r"\text{", "a=", "-", " or ", "9"]
PIECES += [" ", "< ", r"\boxed{1}" + " " * 30]


@pytest.mark.parametrize("piece", PIECES)
def test_any_repetition_of_a_mark_is_read_in_linear_time(piece):
    assert not same_answer(piece * 50_000, "18")
    assert not same_answer(rf"\boxed{{{piece * 50_000}}}", "18")


def test_sets_within_sets_are_compared_without_trying_every_order():
    left, right = "1", "2"
    for _ in range(7):
        left, right = rf"\{{{left},{left}3\}}", rf"\{{{right},{right}3\}}"
    assert same_answer(rf"\boxed{{{left}}}", left)
    assert not same_answer(rf"\boxed{{{left}}}", right)
    long = ",".join(map(str, range(200)))
    assert not same_answer(rf"\boxed{{\{{{long}\}}}}", rf"\{{{long},200\}}")


def renderings(value: Fraction) -> list[str]:
    """The same number, as people and models write it."""
    top, bottom = value.numerator, value.denominator
    sign, whole, rest = "-" if top < 0 else "", abs(top) // bottom, abs(top) % bottom
    forms = [f"{top}/{bottom}", rf"\frac{{{top}}}{{{bottom}}}", rf"{sign}\dfrac{{{abs(top)}}}{{{bottom}}}"]
    forms += [rf"x = \frac{{{3 * top}}}{{{3 * bottom}}}", rf"\left(\frac{{{top}}}{{{bottom}}}\right)"]
    if rest:
        forms += [rf"{sign}{whole}\frac{{{rest}}}{{{bottom}}}", f"{sign}{whole} {rest}/{bottom}"] if whole else []
    else:
        grouped = f"{whole:,}"
        forms += [str(top), f"{top}.00", sign + grouped, sign + grouped.replace(",", "{,}"), f"{sign}\\${grouped}"]
        forms += [sign + grouped.replace(",", r"\,"), f"{top} apples", rf"{top}\text{{ cm}}"]
        forms += [f"{top}".replace("-", "\u2212")]
    if (10**6) % bottom == 0:
        decimal = f"{sign}{whole}.{rest * 10**6 // bottom:06d}"
        forms += [decimal, rf"{decimal}\times10^{{0}}", f"{decimal}e0", f"{decimal} cm"]
        forms += [rf"{top * 10**6 // bottom}\cdot 10^{{-6}}"]
    return forms


rationals = st.one_of(
    st.integers(-(10**9), 10**9).map(Fraction),
    st.builds(Fraction, st.integers(-(10**6), 10**6), st.sampled_from([2, 3, 4, 5, 7, 8, 10, 12, 100, 1000, 997])),
)


@given(rationals, st.data())
def test_any_two_renderings_of_a_number_are_equal(value, data):
    given_form, right = (data.draw(st.sampled_from(renderings(value))) for _ in range(2))
    assert same_answer(rf"so \boxed{{{given_form}}}", right)
    assert same_answer(f"<answer>{given_form}</answer>", right)


@given(rationals, rationals, st.data())
def test_renderings_of_different_numbers_are_not_equal(value, other, data):
    given_form = data.draw(st.sampled_from(renderings(value)))
    assert same_answer(rf"\boxed{{{given_form}}}", data.draw(st.sampled_from(renderings(other)))) == (value == other)


LETTERS = ["x", "xy", "i", "e", "E", "n", " x", " y", "th", r"\pi", "π", r"\alpha", r"\infty", r"\sqrt{2}", "√2"]
SIGNS = ["^2", "^x", "²", "_2", "!", "!!", "+", "-", "*", "/", "+1", "-1", "*2", "/x", r"\cdot x", r"\times 2", "?"]
SEVERAL = [", 2", ",2", "; 2", " or 2", " and 2", ":2", r"\pm 1", "±1", "(2)", "...", " million", r"\ldots", "="]
OTHERS = ["=x+1", "<x", " > 2", r"\le x", r"\{", "|", "&", r"\\", " mod 7", r"\pmod 7", r"\choose 2", " squared"]
JUNK = st.sampled_from(LETTERS + SIGNS + SEVERAL + OTHERS)


@given(st.integers(1, 10**6), JUNK, st.booleans())
def test_a_number_with_anything_added_is_another_answer(value, junk, after):
    written = f"{value}{junk}" if after else f"{junk}{value}"
    assume(after or junk not in ("+", "="))  # +5 is 5
    assert not same_answer(rf"\boxed{{{written}}}", str(value)), written
    assert not same_answer(rf"\boxed{{{value}}}", written), written
