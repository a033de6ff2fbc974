"""GSPO-token: one importance ratio a sequence, one advantage a token (GSPO, arXiv 2507.18071, equations 13 to 17).

    s_it = sg[s_i] * pi(y_it) / sg[pi(y_it)],    s_i = exp(mean_t log(pi(y_it) / pi_old(y_it)))

Its value is GSPO's s_i, its gradient is that of token t alone, so the advantage may differ from token to token.
With the same advantage on every token it is GSPO.
"""

from typing import Any

import torch
import trl
from transformers import PreTrainedModel
from trl import GRPOConfig
from trl.trainer.grpo_trainer import RewardFunc

from expctl.algorithms.limits import check_ratio_level
from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint
from expctl.algorithms.rows import Batch
from expctl.algorithms.token_advantages import TokenAdvantages
from expctl.algorithms.trainer_hooks import LossInputs, ScoredRollout, loss_mask


class SequenceTokenRatio(LossInputs):
    """Adds `importance_sampling_level="sequence_token"` to a `GRPOTrainer`; other levels are left as they are.

    TRL's loss stays at level "token". It is given old log-probabilities `sg[logp_t] - log s_i`, so the ratio it forms,
    `exp(logp_t - old_t)`, is s_it; loss type, clip range, KL, entropy bonus and every metric are TRL's own.
    The mean of `logp_t - old_t`, which off-policy sequence masking reads, is the true one.
    A token's clip metric then says whether its sequence was clipped. `|y_i|` counts the tokens of the loss mask.

    Raises:
        ValueError: in the constructor, for an unknown level and for `loss_type="vespo"`.
    """

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: GRPOConfig | None = None,
        *positional: Any,
        **keywords: Any,
    ):
        if args is not None:
            check_ratio_level(args)
        super().__init__(model, reward_funcs, args, *positional, **keywords)
        self._sequence_token = self.importance_sampling_level == "sequence_token"
        if self._sequence_token:
            self.importance_sampling_level = "token"

    def _revise_loss_inputs(self, inputs: Batch, logps: torch.Tensor) -> None:
        super()._revise_loss_inputs(inputs, logps)
        if not self._sequence_token:
            return
        old = inputs.get("old_per_token_logps")
        old = logps if old is None else old
        # The clip range is about 3e-4: a half-precision difference of log-probabilities could not resolve it.
        logps = logps.to(torch.promote_types(logps.dtype, torch.float32))
        inputs["old_per_token_logps"] = logps - sequence_log_ratio(logps, old, loss_mask(inputs))


def sequence_log_ratio(logps: torch.Tensor, old_logps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """log s_i `(B, 1)`: the mean over the tokens of the mask of `logps - old_logps`, each `(B, T)` (equation 7)."""
    return ((logps - old_logps) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)


class GRPOTrainer(RolloutCheckpoint, ScoredRollout, SequenceTokenRatio, TokenAdvantages, trl.GRPOTrainer):
    """TRL's `GRPOTrainer` with the level "sequence_token" and with advantages for each token.

    Every argument is TRL's; `token_advantages` (see `TokenAdvantages`) is new. The paper's setting is
    `loss_type="grpo", beta=0.0, epsilon=3e-4, epsilon_high=4e-4, steps_per_generation=4`.

    Example:
        GRPOTrainer(model, reward_funcs=accuracy, train_dataset=prompts, token_advantages=DiscountedCredit(0.98),
                    args=GRPOConfig(importance_sampling_level="sequence_token", loss_type="grpo"))
    """

    _tag_names = ["trl", "grpo", "gspo-token"]
    _name = "GSPO-token"
    _paper = {"title": "Group Sequence Policy Optimization", "id": "2507.18071"}
