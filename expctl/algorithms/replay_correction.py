"""The off-policy correction of replayed rows; fresh rows are left as they are."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from expctl.algorithms.rows import Batch
from expctl.algorithms.trainer_hooks import loss_mask

if TYPE_CHECKING:
    from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig

# Log weights beyond this say "nothing left in common" and would overflow when squared.
LARGEST_LOG_WEIGHT = 20.0


def correct_replayed(
    inputs: Batch,
    logps: torch.Tensor,
    args: "GRPOWithReplayBufferConfig",
    off_policy_mask: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor],
) -> torch.Tensor:
    """Revise old log-probabilities and advantages of a batch with replayed rows, in place.

    Under "mask" a replayed row keeps its ratio `pi / pi_then`, and its advantage becomes zero where it is negative and
    `mean_t(log pi_then - log pi) > replay_mask_threshold` (DeepSeek-V3.2, equation 9). Under "truncate" its ratio is
    one and its advantage is multiplied by `min(prod_t pi / pi_then, replay_weight_cap)`: without the cap an unbiased
    estimate of the policy gradient.

    Args:
        inputs: of one loss computation; `replayed` and `old_is_current` are `(B,)` bool.
        logps: `(B, T)`, of the policy now, detached.
        args: a `GRPOWithReplayBufferConfig`.
        off_policy_mask: `GRPOTrainer.get_off_policy_mask`.

    Returns:
        `(4,)`: over the replayed rows the sums of weights, of squared weights, of the mean log ratios
        `log pi_then - log pi`, and their number.
    """
    replayed, mask = inputs["replayed"].unsqueeze(1), loss_mask(inputs)
    old = torch.where(inputs["old_is_current"].unsqueeze(1), logps, inputs["old_per_token_logps"].to(logps.dtype))
    log_ratio = ((logps - old) * mask).sum(1, keepdim=True)
    weight = log_ratio.clamp(-LARGEST_LOG_WEIGHT, LARGEST_LOG_WEIGHT).exp()
    advantages = inputs["advantages"].view(len(logps), -1)

    if args.replay_correction == "mask":
        factor = off_policy_mask(advantages, logps, old, mask, args.replay_mask_threshold)
        inputs["old_per_token_logps"] = old
    else:
        factor = weight.clamp(max=args.replay_weight_cap)
        inputs["old_per_token_logps"] = torch.where(replayed, logps, old)
        # The trainer's own off-policy masking goes on seeing how old the row is.
        inputs.setdefault("sampling_per_token_logps", old)
    corrected = torch.where(replayed, advantages * factor, advantages)
    inputs["advantages"] = corrected.view_as(inputs["advantages"])

    divergence = -log_ratio / mask.sum(1, keepdim=True).clamp(min=1)
    sums = torch.cat([weight, weight**2, divergence, torch.ones_like(weight)], dim=1) * replayed
    return sums.sum(0)
