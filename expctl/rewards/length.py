"""Rewards that look at the length: a penalty that grows with it, and a limit beyond which nothing is rewarded."""

import math
from collections.abc import Callable, Sequence

from expctl.rewards.completions import Completion, Explain


def length_penalty(
    completions: Sequence[Completion],
    completion_ids: list[list[int]],
    *,
    free: int,
    limit: int,
    shape: str = "linear",
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float]:
    """0.0 up to `free` tokens, -1.0 from `limit` tokens on, and a gradual fall between them.

    "linear" is the soft overlong punishment of DAPO (Yu et al., arXiv 2503.14476, eq. 13, `limit` there L_max and
    `limit - free` the L_cache); "cosine" falls along half a cosine, as the length reward of Yeo et al.
    (arXiv 2502.03373, eq. 1), and so has no kink at either end.

    Args:
        completions: one completion a row; only their number matters.
        completion_ids: the token ids of each completion, from TRL.
        free: tokens that cost nothing.
        limit: tokens from which on the penalty is whole; `args.max_completion_length` or less.
        shape: "linear" or "cosine".
        explain: takes the lengths, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function; ignored.

    Raises:
        ValueError: `free` is not below `limit`, or an unknown shape.
    """
    if not 0 <= free < limit:
        raise ValueError(f"length_penalty: free={free} and limit={limit} tokens; 0 <= free < limit is needed.")
    if shape not in ("linear", "cosine"):
        raise ValueError(f"length_penalty: shape={shape} is unknown; linear or cosine.")
    if explain:
        explain("tokens", [len(ids) for ids in completion_ids])
    excess = [min(1.0, max(0.0, (len(ids) - free) / (limit - free))) for ids in completion_ids]
    if shape == "linear":
        return [-share for share in excess]
    return [(math.cos(math.pi * share) - 1.0) / 2.0 for share in excess]


def within_limit(
    completions: Sequence[Completion],
    completion_ids: list[list[int]],
    *,
    reward: Callable[..., list[float | None]],
    limit: int,
    **columns: object,
) -> list[float | None]:
    """Another reward's value where a completion has at most `limit` tokens, else 0.0.

    Args:
        completions: one completion a row.
        completion_ids: the token ids of each completion, from TRL.
        reward: the other reward function, called as TRL calls it.
        limit: tokens, with the one that ends the completion.
        **columns: what else is passed to a reward function, passed on: `truncated`, the dataset's columns.
    """
    values = reward(completions=completions, completion_ids=completion_ids, **columns)
    return [value if len(ids) <= limit else 0.0 for value, ids in zip(values, completion_ids, strict=True)]


def cosine_length(
    completions: Sequence[Completion],
    completion_ids: list[list[int]],
    *,
    reward: Callable[..., list[float | None]],
    limit: int,
    right: Sequence[float] = (2.0, 1.0),
    wrong: Sequence[float] = (-10.0, 0.0),
    exceeded: float = -10.0,
    **columns: object,
) -> list[float | None]:
    """A reward by correctness and length, along half a cosine (Yeo et al., arXiv 2502.03373, equation 1).

    A right completion earns `right[0]` with no tokens and `right[1]` with `limit` of them, a wrong one `wrong[0]` and
    `wrong[1]`: short is better where it is right, and longer thought costs less where it is wrong. One of `limit`
    tokens or more earns `exceeded`. The defaults are the paper's.

    Args:
        completions: one completion a row.
        completion_ids: the token ids of each completion, from TRL.
        reward: another reward function, which says what is right (above 0); None is passed on.
        limit: tokens at which a completion is cut off.
        right: the rewards of a right completion at both ends.
        wrong: likewise of a wrong one.
        exceeded: the reward at the limit.
        **columns: what else is passed to a reward function, passed on.
    """
    values = reward(completions=completions, completion_ids=completion_ids, **columns)
    rewards: list[float | None] = []
    for value, ids in zip(values, completion_ids, strict=True):
        start, end = right if value is not None and value > 0 else wrong
        fall = (1.0 + math.cos(math.pi * min(1.0, len(ids) / limit))) / 2.0
        along = exceeded if len(ids) >= limit else end + (start - end) * fall
        rewards.append(None if value is None else along)
    return rewards


def per_token(
    completions: Sequence[Completion],
    completion_ids: list[list[int]],
    *,
    reward: Callable[..., list[float | None]],
    free: int,
    **columns: object,
) -> list[float | None]:
    """Another reward's value for each token, in units of `free` tokens: up to these it is whole, then it falls as 1/n.

    Args:
        completions: one completion a row.
        completion_ids: the token ids of each completion, from TRL.
        reward: the other reward function, called as TRL calls it; None is passed on.
        free: tokens up to which the value is whole.
        **columns: what else is passed to a reward function, passed on.
    """
    values = reward(completions=completions, completion_ids=completion_ids, **columns)
    shares = [min(1.0, free / max(1, len(ids))) for ids in completion_ids]
    return [None if value is None else value * share for value, share in zip(values, shares, strict=True)]
