"""Reward of a right final number, and of nothing that is no number."""

from collections.abc import Sequence

from expctl.rewards import math_answer
from expctl.rewards.completions import Completion, Explain
from expctl.rewards.numbers import read_number


def accuracy(
    completions: Sequence[Completion],
    answer: Sequence[object],
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float | None]:
    """1.0 where the final answer is a number that equals the right one, else 0.0; None where that is no number.

    As `expctl.rewards.math_answer.accuracy`, for word problems: a row whose right answer is a text, a list or an
    expression is not scored, instead of being compared as text.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        answer: the right answer of each row, alone or at the end of a solution.
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row; one that ends with `<think>` begins the reasoning.
        explain: takes what was read, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    asked = [None if _is_no_number(right) else right for right in answer]
    return math_answer.accuracy(completions, asked, truncated, prompts, explain)


def _is_no_number(right: object) -> bool:
    return right is None or read_number(math_answer.expected_answer(str(right))) is None
