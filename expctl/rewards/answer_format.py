"""Reward of a completion that gives its answer in the form that was asked for."""

import re

from expctl.rewards.completions import text_of

# The three forms that the datasets here ask for; each marks one answer.
_NESTED = r"(?:[^{}]|\{[^{}]*\})+"  # a fraction in a box has braces of its own
ANY_FORM = rf"<answer>[^<>]+</answer>|\\boxed\{{{_NESTED}\}}|####[ \t]*[^\s#]+"


def one_answer(completions: list, *, pattern: str = ANY_FORM, **kwargs) -> list[float]:
    """1.0 where the completion marks exactly one answer, 0.5 where it says more after it, else 0.0.

    Right or wrong does not matter, so give it a small weight beside an accuracy.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        pattern: regular expression of a marked answer.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    return [_score(text_of(completion), re.compile(pattern)) for completion in completions]


def _score(text: str, pattern: re.Pattern) -> float:
    found = list(pattern.finditer(text))
    if len(found) != 1:
        return 0.0
    return 1.0 if not text[found[0].end() :].strip(" \n.$") else 0.5
