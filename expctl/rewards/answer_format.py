"""Reward of a completion that gives its answer in the form that was asked for."""

import re
from collections.abc import Sequence

from expctl.rewards.completions import UNFINISHED, Completion, Explain, final_texts

# The three forms that the datasets here ask for; each marks one answer.
_NESTED = r"(?:[^{}]|\{[^{}]*\})+"  # a fraction in a box has braces of its own
ANY_FORM = rf"<answer>[^<>]+</answer>|\\boxed\{{{_NESTED}\}}|####[ \t]*[^\s#]+"


def one_answer(
    completions: Sequence[Completion],
    *,
    pattern: str = ANY_FORM,
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float]:
    """1.0 where the completion marks exactly one answer, 0.5 where it says more after it, else 0.0.

    Right or wrong does not matter, so give it a small weight beside an accuracy. What stands in `<think>` is no
    answer; a completion that was cut off, or whose reasoning does not end, has none.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        pattern: regular expression of a marked answer.
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row; one that ends with `<think>` begins the reasoning.
        explain: takes what was read, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    form = re.compile(pattern)
    texts = final_texts(completions, truncated, prompts)
    if explain:
        found = [0 if text is None else len(form.findall(text)) for text in texts]
        explain("marks", [UNFINISHED if text is None else count for text, count in zip(texts, found, strict=True)])
    return [0.0 if text is None else _score(text, form) for text in texts]


def _score(text: str, pattern: re.Pattern[str]) -> float:
    answers = list(pattern.finditer(text))
    if len(answers) != 1:
        return 0.0
    rest = text[answers[0].end() :].strip(" \n.$")
    return 0.5 if rest else 1.0
