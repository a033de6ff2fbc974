"""Rewards that look at the length: a penalty that grows with it, and a limit beyond which nothing is rewarded."""

import math
from collections.abc import Callable, Sequence

from expctl.rewards.completions import Completion


def length_penalty(
    completions: Sequence[Completion],
    completion_ids: list[list[int]],
    *,
    free: int,
    limit: int,
    shape: str = "linear",
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
        **kwargs: what else TRL passes to a reward function; ignored.

    Raises:
        ValueError: `free` is not below `limit`, or an unknown shape.
    """
    if not 0 <= free < limit:
        raise ValueError(f"length_penalty: free={free} and limit={limit} tokens; 0 <= free < limit is needed.")
    if shape not in ("linear", "cosine"):
        raise ValueError(f"length_penalty: shape={shape} is unknown; linear or cosine.")
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
