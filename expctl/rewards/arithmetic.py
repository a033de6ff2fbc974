"""Reward of the embedded arithmetic task."""

import re

FINAL_ANSWER = re.compile(r" so (\d+)\s*\Z")


def accuracy(completions: list, answer: list[str], **kwargs) -> list[float]:
    """1.0 where the completion ends in ` so <answer>`, else 0.0; what the chain of thought says does not count.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        answer: the right answer of each row, as it must be written (no leading zeros).
        **kwargs: what else TRL passes to a reward function (the other columns, token ids); ignored.
    """
    texts = [completion if isinstance(completion, str) else completion[-1]["content"] for completion in completions]
    finals = [FINAL_ANSWER.search(text) for text in texts]
    return [float(final is not None and final[1] == right) for final, right in zip(finals, answer, strict=True)]
