"""How many completions to keep of a prompt, by how hard the policy finds it (GFPO, Algorithm 2).

The mean reward of a prompt's G completions is set against the means of all prompts seen so far. Hard prompts keep more
completions, easy ones fewer: what is easy can be shortened, what is hard needs exploration.
"""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from fastdigest import TDigest

from expctl.algorithms.filters import GroupFilter, Groups, GroupScores, resolve_scorer
from expctl.algorithms.limits import check_quartiles


class AdaptiveDifficulty:
    """Keeps k completions by the quartile of the prompt's mean reward (GFPO, Algorithm 2); another filter picks them.

    The paper's setting for G = 16 is the default: 8, 8, 6 and 4 from the hardest quarter to the easiest, 6.5 on
    average, and 8 for all during a few warm-up steps. Quartiles are estimated by a t-digest over every prompt seen,
    the current batch included. Leave `num_remains_in_group` unset.

    With few distinct rewards many prompts share a mean, and a strict comparison with the quartiles would call the very
    hardest easy as soon as a quarter of them has the lowest mean. So a prompt's place is its mid-rank: the share of
    prompts below it plus half of those equal to it.

    The digest is fed with the gathered rewards, in the same order on every rank, and is saved with every checkpoint.
    A prompt that no reward function could score counts as very hard and stays out of the digest.

    Args:
        filter: name, dotted path or callable that scores the completions.
        very_hard, hard, medium, easy: k by quartile; from 2 to G.
        warmup_steps: generation batches at `very_hard` before the quartiles are used.
        max_centroids: size of the t-digest; more is more exact.

    Raises:
        ValueError: if `filter` decides k itself.
    """

    def __init__(
        self,
        filter: "str | GroupFilter" = "shortest",
        very_hard: int = 8,
        hard: int = 8,
        medium: int = 6,
        easy: int = 4,
        warmup_steps: int = 10,
        max_centroids: int = 1000,
    ):
        self.filter = resolve_scorer(filter, "AdaptiveDifficulty")
        self.remains_by_quartile = {"very_hard": very_hard, "hard": hard, "medium": medium, "easy": easy}
        self.warmup_steps = warmup_steps
        self.steps = 0
        self.digest = TDigest(max_centroids)

    def __call__(self, group_completions: Groups, group_rewards: GroupScores, **kwargs: Any) -> GroupScores:
        """The scores of the inner filter: n lists of G."""
        return self.filter(group_completions, group_rewards, **kwargs)

    def check(self, num_generations: int) -> None:
        """Raise ValueError if one of the four k does not fit groups of `num_generations`."""
        check_quartiles(SimpleNamespace(**self.remains_by_quartile), num_generations)

    def remains(self, group_rewards: Sequence[Sequence[float]]) -> list[int]:
        """k of each group; learns the difficulty of all of them first."""
        means = [_mean(rewards) for rewards in group_rewards]
        scored = [mean for mean in means if not math.isnan(mean)]
        if scored:
            self.digest.batch_update(scored)
        self.steps += 1
        ks = list(self.remains_by_quartile.values())
        if self.steps <= self.warmup_steps:
            return [ks[0]] * len(means)
        quartiles = [0 if math.isnan(mean) else self.quartile(mean) for mean in means]
        return [ks[quartile] for quartile in quartiles]

    def quartile(self, mean_reward: float) -> int:
        """0 (very hard) to 3 (easy): the quarter of all prompts seen that a mean reward falls into."""
        return min(int(4 * mid_rank(self.digest, mean_reward)), 3)

    def state_dict(self) -> dict[str, Any]:
        """The number of batches seen and the digest, as plain values."""
        return {"steps": self.steps, "digest": self.digest.to_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.steps = state["steps"]
        self.digest = TDigest.from_dict(state["digest"])


def mid_rank(digest: TDigest, value: float) -> float:
    """Share of the digest below `value` plus half of the share equal to it, in [0, 1].

    A digest that has merged points interpolates between its centroids, so "equal" is what lies closer than a
    thousandth of the range: rewards that differ by less are the same difficulty.
    """
    tolerance = max(digest.max() - digest.min(), 1e-9) * 1e-3
    return (digest.cdf(value - tolerance) + digest.cdf(value + tolerance)) / 2


def _mean(rewards: Sequence[float]) -> float:
    scored = [reward for reward in rewards if not math.isnan(reward)]
    return sum(scored) / len(scored) if scored else math.nan
