"""Reward of a right final number or text, however it is written, and of nothing that only contains it."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from expctl.rewards.completions import (
    ANSWER_READ,
    OPEN_MARK,
    UNFINISHED,
    Completion,
    Explain,
    after_reasoning,
    final_texts,
)
from expctl.rewards.marked import LONGEST_ANSWER, last_line, last_statement, marked_answer
from expctl.rewards.numbers import read_number, read_statement, stated_text
from expctl.rewards.texts import same_text


def accuracy(
    completions: Sequence[Completion],
    answer: Sequence[object],
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float | None]:
    """1.0 where the final answer equals the right one, else 0.0; None where the row has no right answer.

    The final answer is what the completion marks last, with `\\boxed{...}`, `<answer>...</answer>` or `####`; without
    a mark, the number that its last sentence states. It must be a number as a whole, with a currency, a percent sign,
    a unit or `x =` at most: `2\\pi`, `x^2`, `\\pm 2` and `1,2` are not 2. Numbers are compared by value (`1,200`,
    `$1200.00`, `1.2\\times10^3` and `2400/2` are equal), others as text.

    Nothing is earned by a completion that was cut off, or whose reasoning (`<think>`) does not end; reasoning that
    ends is left out.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        answer: the right answer of each row, alone (`18`) or at the end of a solution (`... #### 18`).
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row; one that ends with `<think>` begins the reasoning.
        explain: takes what was read, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    texts = final_texts(completions, truncated, prompts)
    if explain:
        explain_answers(explain, texts, answer)
    return scores(texts, answer, same_answer)


def explain_answers(explain: Explain, texts: Sequence[str | None], answers: Sequence[object]) -> None:
    """Say what is read of each text as its answer, and the right answer that it is compared with."""
    explain(ANSWER_READ, [UNFINISHED if text is None else answer_read(text) for text in texts])
    explain("right answer", ["" if answer is None else expected_answer(str(answer)) for answer in answers])


def answer_read(text: str) -> str:
    """What a text gives as its answer: what it marks, else its last statement of a number, else its last line."""
    marked = marked_answer(text)
    if marked is not None:
        return marked or OPEN_MARK
    return last_statement(text) or last_line(text)


def scores(
    texts: Sequence[str | None], answers: Sequence[object], is_right: Callable[[str, str], bool]
) -> list[float | None]:
    """1.0 where `is_right(text, answer)`, 0.0 where not or without a text, None where the row has no right answer."""
    rewards: list[float | None] = []
    for text, answer in zip(texts, answers, strict=True):
        expected = "" if answer is None else str(answer)
        if not expected.strip():
            rewards.append(None)
        else:
            rewards.append(float(text is not None and is_right(text, expected)))
    return rewards


def same_answer(text: str, right: str) -> bool:
    """Whether the final answer of `text` is that of `right`."""
    final_text = after_reasoning(text)
    if final_text is None:
        return False
    expected = expected_answer(right)
    given = marked_answer(final_text)
    if given is not None:
        return same_value(given, expected)
    expected_number = read_number(expected)
    if expected_number is None:
        line = last_line(final_text)
        return same_value(line, expected) or same_value(stated_text(line), expected)
    stated = read_statement(last_statement(final_text))
    return stated is not None and stated.equals(expected_number)


def expected_answer(right: str) -> str:
    """The answer that a row of the data names: what it marks, or all of it."""
    marked = marked_answer(right)
    return marked if marked else right.strip()


def same_value(given: str, expected: str) -> bool:
    """Whether two answers, without their marks, are the same: numbers by value, others as text."""
    given_number, expected_number = read_number(given), read_number(expected)
    if given_number is not None and expected_number is not None:
        return given_number.equals(expected_number)
    if given_number is not None or expected_number is not None:
        return False
    if max(len(given), len(expected)) > LONGEST_ANSWER:
        return given.split() == expected.split()
    return same_text(given, expected, same_value)


def number(text: str) -> Fraction | None:
    """The value of a text that is one number, maybe with a currency, a percent sign or a unit; else None."""
    read = read_number(text)
    return None if read is None else read.value
