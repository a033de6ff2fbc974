"""Reward of a generated task: reasoning-gym's own scorer of that task."""

import functools
import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import reasoning_gym

from expctl.rewards.completions import ANSWER_READ, Completion, Explain, final_texts

logger = logging.getLogger(__name__)

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def accuracy(
    completions: Sequence[Completion],
    task: list[str],
    entry: list[str],
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float]:
    """The task's score of what stands in the last `<answer>...</answer>`, 0 to 1; 0.0 where nothing does.

    An answer within `<think>` does not count, nor does that of a completion that was cut off or still thinks.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        task: name of the task of each row.
        entry: the task's own record of each row, as JSON.
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row; one that ends with `<think>` begins the reasoning.
        explain: takes what was read, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    tagged = [_TAGGED.findall(text or "") for text in final_texts(completions, truncated, prompts)]
    if explain:
        explain(ANSWER_READ, [answers[-1] if answers else "" for answers in tagged])
        explain("right answer", [json.loads(record).get("answer") for record in entry])
    return [_score(name, answers, record) for answers, name, record in zip(tagged, task, entry, strict=True)]


def _score(task: str, answers: list[str], entry: str) -> float:
    if not answers:
        return 0.0
    try:
        return float(_scorer(task)(answers[-1].strip(), json.loads(entry)))
    except Exception as error:
        # Some scorers raise on an answer that they cannot parse (prime_factorization: on any text). That the scorer
        # and its entry are sound was checked when the dataset was made, so the answer is what is wrong.
        logger.debug("%s cannot score %r: %r", task, answers[-1], error)
        return 0.0


@functools.cache
def _scorer(task: str) -> Callable[[str, dict[str, Any]], float]:
    scorer: Callable[[str, dict[str, Any]], float] = reasoning_gym.get_score_answer_fn(task)
    return scorer
