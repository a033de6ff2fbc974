"""What an evaluation says of each prompt, from the rows of its `completions.jsonl`."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from expctl.base.plain_data import is_number, mapping, sequence

# A row a prompt: `rewards` by function, `tokens` and `ended`, each a list with an entry a completion.
Rows = Sequence[Mapping[str, Any]]
# A value for each row; None where it has none.
Values = list[float | None]


def per_prompt(rows: Rows, weights: Mapping[str, float]) -> dict[str, Values]:
    """Metric -> a value for each row.

    Means are over the prompt's completions. Of a reward that is always 0 or 1, with n > 1 completions a prompt of which
    c are right: `pass@k`, the unbiased estimate of the chance that at least one of k is right (Chen et al. 2021,
    arXiv 2107.03374, equation 1), for k = 1, 2, 4, ... and n; and with n > 2 `majority`, whether the answer that was
    given most often is right (Wang et al. 2023, arXiv 2203.11171), of equals the one that was given first. All right
    completions have the same answer, and one without an answer does not vote. Where the function does not say which
    answers it read, there is `more_than_half` in its place: whether more than half are right.

    Args:
        rows: of `completions.jsonl`.
        weights: name of each reward function -> its weight in the reward.
    """
    values: dict[str, Values] = {"reward": [_mean(_weighted(row, weights)) for row in rows]}
    for name in weights:
        rewards = [_known(sequence(mapping(row.get("rewards")).get(name))) for row in rows]
        values[f"rewards/{name}/mean"] = [_mean(each) for each in rewards]
        if max(map(len, rewards), default=0) > 1 and all(value in (0.0, 1.0) for each in rewards for value in each):
            answers = [sequence(mapping(row.get("answers")).get(name)) for row in rows]
            values |= {f"rewards/{name}/{key}": shares for key, shares in _right_or_wrong(rewards, answers).items()}
    values["completions/mean_length"] = [_mean(_known(sequence(row.get("tokens")))) for row in rows]
    values["completions/clipped_ratio"] = [
        _mean([float(not one) for one in sequence(row.get("ended"))]) for row in rows
    ]
    return values


def pass_at(k: int, n: int, right: int) -> float:
    """The unbiased estimate of pass@k of a prompt with `right` of n completions right."""
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def voted(right: Sequence[float], answers: Sequence[Any]) -> float:
    """1.0 where the answer that was given most often, of equals the first, is right, else 0.0.

    Args:
        right: 1.0 or 0.0 of each completion.
        answers: of each what it answers, None where it does not.
    """
    votes = Counter((bool(value), None if value else answer) for value, answer in zip(right, answers, strict=True))
    votes.pop((False, None), None)
    return float(bool(votes) and max(votes, key=votes.__getitem__)[0])


def _right_or_wrong(rewards: Sequence[Sequence[float]], answers: Sequence[Sequence[Any]]) -> dict[str, Values]:
    """`pass@k` and `majority` of each prompt that has all its completions judged."""
    n = max(map(len, rewards))
    sizes = sorted({2**power for power in range(n.bit_length()) if 2**power <= n} | {n})
    right = [sum(map(bool, each)) if len(each) == n else None for each in rewards]
    values: dict[str, Values] = {}
    for k in sizes:
        values[f"pass@{k}"] = [None if count is None else pass_at(k, n, count) for count in right]
    if n > 2 and all(len(said) == len(each) for said, each in zip(answers, rewards, strict=True)):
        pairs = zip(rewards, answers, strict=True)
        values["majority"] = [voted(each, said) if len(each) == n else None for each, said in pairs]
    elif n > 2:
        values["more_than_half"] = [None if count is None else float(2 * count > n) for count in right]
    return values


def _weighted(row: Mapping[str, Any], weights: Mapping[str, float]) -> list[float]:
    """Of each completion the weighted sum of the rewards that were given, where any was."""
    columns = {name: sequence(mapping(row.get("rewards")).get(name)) for name in weights}
    sums = []
    for values in zip(*columns.values(), strict=False):
        known = [weights[name] * value for name, value in zip(columns, values, strict=True) if is_number(value)]
        sums += [math.fsum(known)] if known else []
    return sums


def _known(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values if is_number(value)]


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
