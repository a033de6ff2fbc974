"""Contrast of a group's raw rewards, which is what there is to learn from it, and the scale of its advantages.

Rewards are `(k, F)`, one row a completion and one column a reward function; NaN where a function returned None.
"""

import math
from dataclasses import dataclass

import torch
from trl.trainer.utils import nanstd

# Rewards closer than this are equal: GRPO divides by std + 1e-4, so what it would make of them is rounding.
EQUAL = 1e-6
# GRPO's own, added to every standard deviation.
EPSILON = 1e-4


@dataclass
class SampledGroup:
    """A group of a batch: where its k rows lie in the rows of all ranks, in the order in which they were sampled.

    `rewards` are `(k, F)`, raw, on the CPU; `contrast` see there.
    """

    positions: list[int]
    rewards: torch.Tensor
    contrast: float


def sampled_groups(
    samples: list[int], rewards: torch.Tensor, num_generations: int, weights: torch.Tensor, aggregation: str
) -> list[SampledGroup]:
    """All ranks' groups in sampling order, also where a group straddles ranks or has lost rows to a filter.

    Args:
        samples: for every row of all ranks its place among the sampled completions, -1 for a row that is none.
        rewards: `(N, F)` of the sampled completions.
        num_generations: rows of a group when it was sampled.
        weights: see `contrast`.
        aggregation: see `contrast`.
    """
    members: dict[int, list[int]] = {}
    for position in sorted(range(len(samples)), key=samples.__getitem__):
        if samples[position] >= 0:
            members.setdefault(samples[position] // num_generations, []).append(position)
    groups = []
    for positions in members.values():
        earned = rewards[[samples[position] for position in positions]].cpu()
        groups.append(SampledGroup(positions, earned, contrast(earned, weights, aggregation)))
    return groups


def contrast(rewards: torch.Tensor, weights: torch.Tensor, aggregation: str) -> float:
    """`sum_i |R_i - mean R|` of a group from raw rewards, 0.0 for a group without reward variance.

    R is the weighted sum of the reward functions, NaN rows left out; under `aggregation="normalize_then_sum"` the
    functions are compared one by one and their deviations added, since a group in which they cancel still teaches.
    For binary rewards this orders groups as the distance of the pass rate from one half does, and as VCRL's p does.
    """
    columns = _weighted(rewards, weights)
    if aggregation == "sum_then_normalize":
        columns = _total(columns)
    spread = columns.nan_to_num(-math.inf).amax(0) - columns.nan_to_num(math.inf).amin(0)
    deviation = (columns - columns.nanmean(0)).abs().nansum(0)
    return deviation[spread > EQUAL].sum().item()


def batch_scale(groups: list[torch.Tensor], weights: torch.Tensor, aggregation: str, scale_rewards: str) -> float:
    """What GRPO divides the advantages of a whole batch of groups by; 1.0 where each group has its own divisor."""
    if aggregation == "normalize_then_sum":
        normalised = [_normalised(group.double()) for group in groups]
        totals = _total(_weighted(torch.cat(normalised), weights))
    elif scale_rewards == "batch":
        totals = _total(_weighted(torch.cat(groups), weights))
    else:
        return 1.0
    return nanstd(totals.flatten()).nan_to_num(0.0).item() + EPSILON


def _normalised(rewards: torch.Tensor) -> torch.Tensor:
    return (rewards - rewards.nanmean(0)) / (nanstd(rewards, dim=0) + EPSILON)


def _weighted(rewards: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return rewards.double().cpu() * weights.double().cpu()


def _total(weighted: torch.Tensor) -> torch.Tensor:
    """`(k, 1)`: the sum over the functions, NaN where none of them scored."""
    unscorable = weighted.isnan().all(1, keepdim=True)
    return weighted.nansum(1, keepdim=True).masked_fill(unscorable, math.nan)
