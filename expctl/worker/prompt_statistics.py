"""What the completions of an evaluation say, with intervals over the prompts."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from expctl.algorithms.scored_completion import ScoredCompletion
from expctl.rewards.votes import vote
from expctl.runs import prompt_values

LEVEL = 0.95
# Prompts below which the spread is a guess, but of what is 0 or 1.
FEWEST = 8
Interval = tuple[float, float]


def by_prompt(scored: Sequence[ScoredCompletion], each: int) -> list[list[ScoredCompletion]]:
    """The completions of each prompt: those of a row; where rows have no number, `each` that were sampled together."""
    numbered = enumerate(scored)
    groups = groupby(numbered, lambda pair: pair[0] // each if pair[1].row is None else pair[1].row)
    return [[completion for _, completion in pairs] for _, pairs in groups]


def per_prompt(prompts: Sequence[Sequence[ScoredCompletion]], weights: Mapping[str, float]) -> dict[str, list[float]]:
    """Metric -> a value for each prompt that has one, see `expctl.runs.prompt_values`."""
    values = prompt_values.per_prompt([measured(completions) for completions in prompts], weights)
    return {name: [value for value in column if value is not None] for name, column in values.items()}


def measured(completions: Sequence[ScoredCompletion]) -> dict[str, Any]:
    """What a row of `completions.jsonl` has of the completions of a prompt, besides their texts."""
    return {
        "rewards": {name: [one.rewards[name] for one in completions] for name in completions[0].rewards},
        "answers": {name: [vote(one.answers[name]) for one in completions] for name in _said_by_all(completions)},
        "tokens": [one.tokens for one in completions],
        "ended": [one.ended for one in completions],
    }


def _said_by_all(completions: Sequence[ScoredCompletion]) -> list[str]:
    """The reward functions that have said of every completion what answer they read."""
    return [name for name in completions[0].answers if all(name in one.answers for one in completions)]


def interval(values: Sequence[float]) -> Interval | None:
    """The 95 % interval of the mean over prompts; None for too few, or where nothing spreads.

    Of values that are 0 or 1 it is Wilson's, else Student's; of shares (0 to 1) it ends at 0 and 1.
    """
    from scipy import stats

    count = len(values)
    if count < 2:
        return None
    if all(value in (0.0, 1.0) for value in values):
        wilson = stats.binomtest(int(sum(values)), count).proportion_ci(LEVEL, method="wilson")
        return float(wilson.low), float(wilson.high)
    if count < FEWEST:
        return None
    mean = math.fsum(values) / count
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)
    if error == 0:
        return None
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * error
    low, high = mean - half, mean + half
    if all(0 <= value <= 1 for value in values):
        return max(low, 0.0), min(high, 1.0)
    return low, high
