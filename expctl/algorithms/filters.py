"""Group filters: which of the G sampled completions of a prompt GFPO trains on.

A group filter is any callable with the signature of TRL's first GFPO,

    group_filter(group_completions, group_rewards, **kwargs) -> list[list[float]]

one score for every completion of every group; the k highest of a group are kept (equal scores: the earlier one).
`group_rewards` is `list[list[float]]`, the weighted sum of the reward functions, NaN where none could score. The
keyword arguments, each grouped like `group_completions`, are

- `group_completion_lengths`: tokens that the model itself generated (tool results and environment turns left out);
- `group_completion_ids`, `group_prompts`, and every column of the dataset under its own name;
- `group_rewards_per_func`: the rewards before they are summed, as `{reward function name: list[list[float]]}`;
- `num_remains`: k of each group, `list[int]`.

A filter may also decide k itself, by a method `remains(group_rewards) -> list[int]`, and may have a memory, by
`state_dict()` and `load_state_dict(state)`, which is then part of every checkpoint. See `difficulty.py` for both.
"""

import difflib
import importlib
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

Groups = Sequence[Sequence[Any]]  # completions by group: strings or conversations
GroupScores = list[list[float]]
GroupFilter = Callable[..., GroupScores]


class Shortest:
    """Keep the shortest completions: score `-|o|` in tokens (GFPO, section 3).

    It never penalises a long wrong answer, which is simply not kept; the paper leaves those to the KL term.
    """

    def __call__(
        self,
        group_completions: Groups,
        group_rewards: GroupScores,
        *,
        group_completion_lengths: Sequence[Sequence[int]],
        **kwargs: Any,
    ) -> GroupScores:
        """`-|o|` of every completion: n lists of G."""
        return [[-float(length) for length in lengths] for lengths in group_completion_lengths]


class TokenEfficiency:
    """Keep the completions with the most reward per token: score `(R + offset) / |o|` (GFPO, section 3.2).

    Scaling all lengths changes nothing, shifting the rewards does: with rewards in {0, 1} wrong answers tie at 0 and
    are kept only for want of correct ones, with rewards in [-1, 1], as in the paper, the wrong answers that are kept
    are the *longest*, so that length without a result is what gets the negative advantage. `offset` moves between the
    two: -0.5 gives {0, 1} rewards the paper's shape, +1 takes it from rewards in [-1, 1].

    Reward per token alone has a trap. As soon as k completions of a group are correct, the kept set is all correct,
    its variance is zero and the group teaches nothing: measured on a bandit, accuracy stays at 0.69 where GRPO
    reaches 0.99. So, unless `keep_contrast` is false, a kept set without contrast gives up its lowest-scored member
    for the best-scored completion below the group's highest reward, wherever the group has one.

    Args:
        offset: added to the reward before it is divided by the length.
        keep_contrast: keep at least one completion below the highest reward of a group that has any.
    """

    def __init__(self, offset: float = 0.0, keep_contrast: bool = True):
        self.offset = offset
        self.keep_contrast = keep_contrast

    def __call__(
        self,
        group_completions: Groups,
        group_rewards: GroupScores,
        *,
        group_completion_lengths: Sequence[Sequence[int]],
        num_remains: Sequence[int],
        **kwargs: Any,
    ) -> GroupScores:
        """`(R + offset) / |o|` of every completion, or the scores that keep contrast: n lists of G."""
        scores = [
            [(reward + self.offset) / max(length, 1) for reward, length in zip(rewards, lengths, strict=True)]
            for rewards, lengths in zip(group_rewards, group_completion_lengths, strict=True)
        ]
        return keep_contrast(scores, group_rewards, num_remains) if self.keep_contrast else scores


class KeepContrast:
    """Another filter's scores, with the guard of `TokenEfficiency` against a kept set without contrast.

    Args:
        filter: name, dotted path or callable that scores the completions, and does not decide k.
    """

    def __init__(self, filter: "str | GroupFilter" = "shortest"):
        self.filter = resolve_scorer(filter, "KeepContrast")

    def __call__(
        self, group_completions: Groups, group_rewards: GroupScores, *, num_remains: Sequence[int], **kwargs: Any
    ) -> GroupScores:
        """The inner filter's scores, changed where its k best would all have one reward: n lists of G."""
        scores = self.filter(group_completions, group_rewards, num_remains=num_remains, **kwargs)
        return keep_contrast(scores, group_rewards, num_remains)


class WeightedFilters:
    """Several filters at once: the weighted sum of the completion's *rank* in its group under each of them.

    Ranks (0 worst to 1 best, mid-rank on ties), because `-|o|` and `R/|o|` have no common scale to add up on.

    Args:
        filters: names, dotted paths or callables. A filter that decides k belongs outside: see `AdaptiveDifficulty`.
        weights: one a filter; equal when not given.

    Raises:
        ValueError: if there is not one weight a filter, or if one of the filters decides k.
    """

    def __init__(self, filters: "Sequence[str | GroupFilter]", weights: Sequence[float] | None = None):
        self.filters = [resolve_scorer(filter, "WeightedFilters") for filter in filters]
        self.weights = [1.0] * len(self.filters) if weights is None else [float(weight) for weight in weights]
        if len(self.weights) != len(self.filters):
            raise ValueError(f"WeightedFilters got {len(self.filters)} filters but {len(self.weights)} weights")

    def __call__(self, group_completions: Groups, group_rewards: GroupScores, **kwargs: Any) -> GroupScores:
        """The weighted sums of ranks: n lists of G."""
        total = [[0.0] * len(rewards) for rewards in group_rewards]
        for filter, weight in zip(self.filters, self.weights, strict=True):
            for sums, scores in zip(total, filter(group_completions, group_rewards, **kwargs), strict=True):
                for i, rank in enumerate(_ranks(scores)):
                    sums[i] += weight * rank
        return total


def best(scores: Sequence[float], rewards: Sequence[float], k: int) -> list[int]:
    """Indices of the k completions of one group that are kept, in ascending order.

    Highest score first, the earlier one on ties. A completion that no reward function could score (NaN reward) comes
    after all that were scored, one without a score (NaN) after all that have one.
    """

    def order(i: int) -> tuple[bool, bool, float, int]:
        unscored = math.isnan(scores[i])
        # NaN as a sort key would make the order depend on the algorithm of the sort.
        return math.isnan(rewards[i]), unscored, 0.0 if unscored else -scores[i], i

    return sorted(sorted(range(len(scores)), key=order)[:k])


def keep_contrast(scores: GroupScores, group_rewards: GroupScores, num_remains: Sequence[int]) -> GroupScores:
    """Scores whose k best have more than one reward in every group that has more than one; the others unchanged.

    If the k best all have the same reward, the best-scored completion of another reward takes the place of the last.
    """
    guarded = []
    for group_scores, rewards, k in zip(scores, group_rewards, num_remains, strict=True):
        kept = {rewards[i] for i in best(group_scores, rewards, k) if not math.isnan(rewards[i])}
        others = [i for i, reward in enumerate(rewards) if not math.isnan(reward) and reward not in kept]
        if len(kept) == 1 and others:
            rescued = others[best([group_scores[i] for i in others], [rewards[i] for i in others], 1)[0]]
            group_scores = [math.inf if i == rescued else score for i, score in enumerate(group_scores)]
        guarded.append(group_scores)
    return guarded


def resolve_filter(filter: "str | GroupFilter") -> GroupFilter:
    """A filter from its name, its dotted path (`my_package.my_filter`) or itself; a class is instantiated.

    Raises:
        ValueError: for a name that is not known, a path that leads nowhere, or something that cannot be called.
    """
    resolved: object = _import_filter(filter) if isinstance(filter, str) else filter
    if isinstance(resolved, type):
        resolved = resolved()
    if not callable(resolved):
        raise ValueError(f"a group filter must be callable, but {filter!r} is {type(resolved).__name__}")
    return resolved


def resolve_scorer(filter: "str | GroupFilter", around: str) -> GroupFilter:
    """`resolve_filter` for the inside of another filter, `around`: it scores, and leaves k to what is outside.

    Raises:
        ValueError: as `resolve_filter`, and if the filter decides k itself.
    """
    scorer = resolve_filter(filter)
    if hasattr(scorer, "remains"):
        inner = type(scorer).__name__
        raise ValueError(f"{inner} decides how many are kept, so it must be outermost: put {around} inside of {inner}.")
    return scorer


def _import_filter(name: str) -> object:
    path = NAMED_FILTERS.get(name, name)
    module_name, _, attribute = path.rpartition(".")
    if not module_name:
        near = difflib.get_close_matches(name, NAMED_FILTERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"no group filter is named {name!r}.{hint} Known: {', '.join(NAMED_FILTERS)}; "
            "or give the dotted path of your own, such as my_package.my_filter."
        )
    try:
        imported: object = getattr(importlib.import_module(module_name), attribute)
        return imported
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the group filter {name!r} cannot be imported: {error}") from error


def _ranks(scores: Sequence[float]) -> list[float]:
    """Share of the group that scores lower, ties counted half, from 0 (alone worst) to 1 (alone best)."""
    rest = max(len(scores) - 1, 1)
    comparable = [-math.inf if math.isnan(score) else score for score in scores]
    ordered = sorted(comparable)
    ranks = []
    for score in comparable:
        lower, ties = bisect_left(ordered, score), comparable.count(score) - 1
        ranks.append((lower + ties / 2) / rest)
    return ranks


NAMED_FILTERS = {
    "shortest": "expctl.algorithms.filters.Shortest",
    "token_efficiency": "expctl.algorithms.filters.TokenEfficiency",
    "adaptive_difficulty": "expctl.algorithms.difficulty.AdaptiveDifficulty",
}
