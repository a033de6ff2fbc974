"""A sampled completion and what it earned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ScoredCompletion:
    """One completion of an evaluation, whichever trainer it was sampled beside.

    Args:
        prompt: text or conversation.
        completion: likewise.
        tokens: its length, with the token that ends it.
        ended: whether an end token ends it.
        rewards: name of each reward function -> its value, None where it gave none.
        row: number of the prompt in the held-out data; None where that is not known.
        answers: name of a reward function -> what it read as the answer, of those that say it.
    """

    prompt: Any
    completion: Any
    tokens: int
    ended: bool
    rewards: dict[str, float | None]
    row: int | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
