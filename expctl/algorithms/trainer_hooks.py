"""Two cooperative mixins over TRL's `GRPOTrainer` with the hooks that the algorithms need, without a copied method.

Both come before `GRPOTrainer` in the bases and call `super()`, so any number of algorithms can share one trainer.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from expctl.algorithms.rows import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import GRPOConfig, GRPOTrainer

    class GRPOMixin(GRPOTrainer):
        """What a mixin finds in `self`; at run time `object`, since TRL's trainer comes last in the bases."""

        args: GRPOConfig
        model: PreTrainedModel
        num_generations: int
        pad_to_multiple_of: int | None
        _logs: dict[str, Any]
else:
    GRPOMixin = object


@dataclass
class Rollout:
    """Inputs and result of the reward functions for one generation batch.

    Args:
        inputs: this rank's B examples, each a row of the dataset.
        prompts: this rank's B prompts, strings or conversations.
        completions: this rank's B completions, strings or conversations.
        rewards: `(N, F)` raw rewards of all ranks' completions in rank order, one column for each reward function; NaN
            where a function returned None or the row was filtered out.
    """

    inputs: list[dict[str, Any]]
    prompts: list[Any]
    completions: list[Any]
    rewards: torch.Tensor


class ScoredRollout(GRPOMixin):
    """Keeps the last `_calculate_rewards` call as `self._rollout` (see `Rollout`).

    First in the bases of a trainer: upstream's own call, after everything that changes rewards, is the last one.
    """

    _rollout: Rollout

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._rollout = Rollout(inputs, prompts, completions, rewards)
        return rewards


class LossInputs(GRPOMixin):
    """Lets an algorithm revise the inputs of one loss computation once the policy's log-probabilities are known.

    TRL's loss first asks for the log-probabilities and then reads advantages and old log-probabilities;
    `_revise_loss_inputs` is called in between. It works on a copy, since TRL reuses a batch when `num_iterations > 1`.
    """

    _loss_inputs: Batch | None = None

    def _compute_loss(self, model: torch.nn.Module, inputs: Batch) -> torch.Tensor:
        self._loss_inputs = dict(inputs)
        try:
            loss: torch.Tensor = super()._compute_loss(model, self._loss_inputs)
            return loss
        finally:
            self._loss_inputs = None

    def _get_per_token_logps_and_entropies(
        self, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        logps, entropies, aux_loss = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._loss_inputs is not None:
            self._revise_loss_inputs(self._loss_inputs, logps.detach())
        return logps, entropies, aux_loss

    def _revise_loss_inputs(self, inputs: Batch, logps: torch.Tensor) -> None:
        """Change `inputs` in place. `logps` `(B, T)`: log-probabilities of the completion tokens now, detached."""


def loss_mask(inputs: Batch) -> torch.Tensor:
    """`(B, T)`: 1 where a completion token was written by the policy, 0 on padding and on what a tool wrote."""
    mask = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask
