"""Reward of a generated task: reasoning-gym's own scorer of that task."""

import functools
import json
import logging
import re

import reasoning_gym

from expctl.rewards.completions import text_of

logger = logging.getLogger(__name__)

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def accuracy(completions: list, task: list[str], entry: list[str], **kwargs) -> list[float]:
    """The task's score of what stands in the last `<answer>...</answer>`, 0 to 1; 0.0 where nothing does.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        task: name of the task of each row.
        entry: the task's own record of each row, as JSON.
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    return [
        _score(name, _TAGGED.findall(text_of(completion)), record)
        for completion, name, record in zip(completions, task, entry, strict=True)
    ]


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
def _scorer(task: str):
    return reasoning_gym.get_score_answer_fn(task)
