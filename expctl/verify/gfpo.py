"""Checks of GFPO (arXiv 2508.09726)."""

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
import trl
from torch import Tensor, nn

from expctl.algorithms.difficulty import AdaptiveDifficulty
from expctl.algorithms.filters import GroupFilter, Shortest, TokenEfficiency, best
from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer
from expctl.verify.check import CheckFailed, check
from expctl.verify.setup import (
    SAVED_IN_A_ROLLOUT,
    G,
    difference,
    graded,
    gradient,
    grpo,
    interrupted,
    loss_and_gradient,
    move,
    relative,
    sample,
    substantial,
    token_logps,
    trained,
)

K = 3


def trainer(
    reward: Callable[..., list[float]] = graded,
    k: int | None = K,
    group_filter: str | GroupFilter = "shortest",
    **settings: Any,
) -> GFPOTrainer:
    """A `GFPOTrainer` that keeps k of `G` completions."""
    keywords = {"group_filter_func": group_filter}
    return grpo(GFPOTrainer, GFPOConfig, reward=reward, keywords=keywords, num_remains_in_group=k, **settings)


@check("k = G is GRPO")
def keeping_all_is_grpo() -> float:
    """keeping all G trains as TRL's GRPO does: weights and losses, 2 steps"""
    ours = trained(trainer(k=G))
    return difference(ours, trained(grpo(trl.GRPOTrainer, trl.GRPOConfig)))


@check("kept set, advantages", at_most=1e-5)
def advantages_of_equation_2() -> float:
    """the k best are kept; A is Eq. 2's over them, 0 elsewhere

    The kept set is exact; the advantages, computed in single precision, are compared with Python's own floats.
    """
    lengths: list[int] = []
    rewards: list[float] = []

    def reward(completions: list[str], completion_ids: list[list[int]], answer: list[str], **_: Any) -> list[float]:
        lengths[:] = map(len, completion_ids)
        rewards[:] = graded(completions, answer)
        return list(rewards)

    batch = sample(trainer(reward, filtered="mask"))
    advantages: list[float] = []
    for start in range(0, len(rewards), G):
        advantages += group_advantages(lengths[start : start + G], rewards[start : start + G])
    expected = substantial(torch.tensor(advantages, dtype=torch.float64), "every kept reward is the same")
    if not torch.equal(batch["advantages"].eq(0), expected.eq(0)):
        raise CheckFailed("other completions are kept than the k shortest of each group")
    return difference([batch["advantages"]], [expected])


def group_advantages(lengths: list[int], rewards: list[float]) -> list[float]:
    """Eq. 2's advantages of one group when the `K` shortest are kept, TRL's standard deviation plus 1e-4."""
    kept = k_shortest(lengths, K)
    mean = sum(rewards[i] for i in kept) / K
    deviation = math.sqrt(sum((rewards[i] - mean) ** 2 for i in kept) / (K - 1))
    return [(rewards[i] - mean) / (deviation + 1e-4) if i in kept else 0.0 for i in range(G)]


def k_shortest(lengths: list[int], k: int) -> list[int]:
    """Indices of the k shortest, the earlier one on ties."""
    return sorted(range(len(lengths)), key=lambda i: (lengths[i], i))[:k]


def k_most_efficient(lengths: list[int], rewards: list[float], k: int) -> list[int]:
    """Indices of the k with the most reward a token; without contrast the last gives way to one of another reward."""
    efficient = sorted(range(len(lengths)), key=lambda i: (-rewards[i] / lengths[i], i))
    others = [i for i in efficient[k:] if rewards[i] != rewards[efficient[0]]]
    if len({rewards[i] for i in efficient[:k]}) == 1 and others:
        efficient[k - 1] = others[0]
    return efficient[:k]


def equation_2(model: nn.Module, batch: dict[str, Tensor], low: float, high: float) -> Tensor:
    """The paper's objective without KL and entropy, as a loss: a sum over the kept, a denominator over all G."""
    logps, mask = token_logps(model, batch), batch["completion_mask"]
    ratio = (logps - batch["old_per_token_logps"]).exp()
    advantages = batch["advantages"].unsqueeze(1)
    unclipped, clipped = ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages
    substantial(((clipped < unclipped) * mask).double(), "no token is clipped")
    surrogate = torch.minimum(unclipped, clipped)
    return -(surrogate * mask).sum() / mask.sum()


@check("loss of Eq. 2", at_most=1e-5)
def loss_of_equation_2() -> float:
    """masked: loss and gradient are Eq. 2's, denominator over all G"""
    ours = trainer(filtered="mask", double=True, num_iterations=2)
    batch = sample(ours)
    move(ours.model, 0.1)
    reference = equation_2(ours.model, batch, ours.epsilon_low, ours.epsilon_high)
    return relative(loss_and_gradient(ours, batch), (reference.detach(), gradient(reference, ours.model)))


@check("drop = mask", at_most=1e-5)
def drop_and_mask_agree() -> float:
    """dropping changes nothing but the denominator (dapo)"""
    dropping, masking = (trainer(filtered=filtered, double=True, num_iterations=2) for filtered in ("drop", "mask"))
    dropped, masked = sample(dropping), sample(masking)
    if len(dropped["prompt_ids"]) != 2 * K:
        raise CheckFailed(f"{len(dropped['prompt_ids'])} rows are left of two groups of which {K} are kept each")
    dropped["num_items_in_batch"] = masked["num_items_in_batch"]
    move(dropping.model)
    move(masking.model)
    return relative(loss_and_gradient(dropping, dropped), loss_and_gradient(masking, masked))


def random_groups(count: int = 400) -> Iterator[tuple[list[int], list[float], int]]:
    """Lengths with ties, rewards of every kind (all different, right or wrong, all equal), and k."""
    dice = random.Random(0)
    for _ in range(count):
        lengths = [dice.randint(1, 12) for _ in range(G)]
        kind = dice.choice((lambda: dice.uniform(-1, 1), lambda: float(dice.random() < 0.7), lambda: 1.0))
        yield lengths, [kind() for _ in range(G)], dice.randint(2, G)


@check("filters")
def filters_are_what_they_say() -> float:
    """shortest, token_efficiency keep what a plain sort keeps, ties too

    Number of groups in which a filter keeps something else than a plain sort of lengths and rewards.
    """
    wrong = 0
    for lengths, rewards, k in random_groups():
        call = {"group_completion_lengths": [lengths], "num_remains": [k]}
        filters: list[tuple[GroupFilter, list[int]]] = [
            (Shortest(), k_shortest(lengths, k)),
            (TokenEfficiency(), k_most_efficient(lengths, rewards, k)),
        ]
        for group_filter, expected in filters:
            (scores,) = group_filter([[""] * G], [rewards], **call)
            wrong += best(scores, rewards, k) != sorted(expected)
    return wrong


@check("adaptive k", at_most=0.01)
def adaptive_k_is_the_quartile() -> float:
    """k follows the exact quartile of the prompt's mean reward

    Share of prompts whose k is not that of their exact mid-rank among all prompts seen, 600 in batches of 20.
    """
    dice = random.Random(1)
    adaptive, wrong = AdaptiveDifficulty(warmup_steps=0), 0
    seen: list[float] = []
    for _ in range(30):
        groups = [[float(dice.random() < skill) for _ in range(G)] for skill in (dice.random() for _ in range(20))]
        means = [sum(group) / G for group in groups]
        seen += means
        ranks = [(sum(s < mean for s in seen) + seen.count(mean) / 2) / len(seen) for mean in means]
        expected = [(8, 8, 6, 4)[min(int(4 * rank), 3)] for rank in ranks]
        wrong += sum(k != right for k, right in zip(adaptive.remains(groups), expected, strict=True))
    return wrong / len(seen)


@check("resumed")
def resumed_is_uninterrupted() -> float:
    """a run resumed in the middle of a rollout ends where the uninterrupted one does

    Saved while half of a rollout is still to be trained on, with a filter that remembers.
    """

    def make(folder: str) -> GFPOTrainer:
        adaptive = AdaptiveDifficulty(very_hard=5, hard=4, medium=3, easy=2, warmup_steps=0)
        return trainer(k=None, group_filter=adaptive, output_dir=folder, max_steps=3, **SAVED_IN_A_ROLLOUT)

    def steps_seen(run: GFPOTrainer) -> list[Tensor]:
        assert isinstance(run.group_filter, AdaptiveDifficulty)
        return [torch.tensor(run.group_filter.steps)]

    return interrupted(make, 1, steps_seen)
