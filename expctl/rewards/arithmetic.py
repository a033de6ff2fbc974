"""Reward of the embedded arithmetic task."""

import re
from collections.abc import Sequence

from expctl.rewards.completions import ANSWER_READ, Completion, Explain, final_texts

FINAL_ANSWER = re.compile(r" so (\d+)\s*\Z")


def accuracy(
    completions: Sequence[Completion],
    answer: list[str],
    truncated: Sequence[bool] | None = None,
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float]:
    """1.0 where the completion ends in ` so <answer>`, else 0.0; what the chain of thought says does not count.

    A completion that was cut off at its limit earns nothing: its answer may not have been whole.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        answer: the right answer of each row, as it must be written (no leading zeros).
        truncated: whether each completion was cut off; None where that is not known.
        explain: takes what was read, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function (the other columns, token ids); ignored.
    """
    finals = [FINAL_ANSWER.search(text or "") for text in final_texts(completions, truncated)]
    if explain:
        explain(ANSWER_READ, ["" if final is None else final[1] for final in finals])
        explain("right answer", answer)
    return [float(final is not None and final[1] == right) for final, right in zip(finals, answer, strict=True)]
