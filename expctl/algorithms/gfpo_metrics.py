"""What GFPO reports about a generation batch: sampled completions against kept ones."""

import math

import torch
from accelerate import Accelerator
from trl.trainer.utils import nanstd

from expctl.algorithms.gfpo_selection import Selection, weighted_rewards
from expctl.algorithms.rows import Batch


def kept_metrics(selection: Selection, weights: torch.Tensor) -> dict[str, float]:
    """Sampled against kept, under `gfpo/`; the same on every rank.

    A completion counts as correct when its reward is positive; `gfpo/correct_rejected` is the share of those that were
    thrown away (NaN if there was none). A group has no contrast when all its rewards are equal.
    """
    kept, lengths = selection.kept, selection.lengths
    rewards = weighted_rewards(selection.rewards_per_func, weights)
    correct = rewards > 0
    return {
        "gfpo/sampled_length": lengths.mean().item(),
        "gfpo/kept_length": lengths[kept].mean().item(),
        "gfpo/sampled_reward": rewards.nanmean().item(),
        "gfpo/kept_reward": rewards[kept].nanmean().item(),
        "gfpo/correct_rejected": (~kept[correct]).float().mean().item(),
        "gfpo/no_contrast_sampled": _without_contrast(rewards, selection.num_generations),
        "gfpo/no_contrast_kept": _without_contrast(rewards.masked_fill(~kept, math.nan), selection.num_generations),
        "gfpo/num_remains": kept.float().mean().item() * selection.num_generations,
    }


def sampled_metrics(selection: Selection, names: list[str], weights: torch.Tensor) -> dict[str, float]:
    """The reward metrics under GRPO's own names, over *all* sampled completions.

    Upstream computes them from what it is given, the kept ones, and a reward that the filter has picked cannot be
    compared with GRPO's. `frac_reward_zero_std` is left alone: it tells what the advantages saw.
    """
    rewards = weighted_rewards(selection.rewards_per_func, weights)
    values = {"reward": rewards.nanmean().item(), "reward_std": nanstd(rewards).item()}
    for name, column in zip(names, selection.rewards_per_func.T, strict=True):
        values[f"rewards/{name}/mean"] = column.nanmean().item()
        values[f"rewards/{name}/std"] = nanstd(column).item()
    return values


def ratio_metrics(batch: Batch, mask: torch.Tensor, accelerator: Accelerator) -> dict[str, float]:
    """Mean, smallest and largest vLLM importance ratio of the kept rows, over ranks.

    Upstream counts the rejected ones too, at the neutral 1 that a missing log-probability stands for.
    """
    ratio = batch["importance_sampling_ratio"]
    counted = batch["sample_index"].unsqueeze(1) >= 0 if ratio.size(1) == 1 else mask.bool()
    ratio = ratio[counted].float()
    sums = accelerator.gather(torch.stack([ratio.sum(), ratio.new_tensor(float(ratio.numel()))])).view(-1, 2).sum(0)
    if not ratio.numel():  # the rank holds nothing but fillers
        ratio = ratio.new_ones(1)
    extremes = accelerator.gather(torch.stack([ratio.amin(), ratio.amax()])).view(-1, 2)
    return {
        "mean": (sums[0] / sums[1].clamp(min=1)).item(),
        "min": extremes[:, 0].amin().item(),
        "max": extremes[:, 1].amax().item(),
    }


def _without_contrast(rewards: torch.Tensor, num_generations: int) -> float:
    groups = rewards.view(-1, num_generations)
    lowest = groups.nan_to_num(math.inf).amin(1)
    return (groups.nan_to_num(-math.inf).amax(1) <= lowest).float().mean().item()
