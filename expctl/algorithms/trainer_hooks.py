"""Two cooperative mixins over TRL's `GRPOTrainer` that give an algorithm a place to stand without a copied method.

Both come before `GRPOTrainer` in the bases and call `super()`, so any number of algorithms can share one trainer.
"""

from dataclasses import dataclass

import torch


@dataclass
class Rollout:
    """What the reward functions saw and said.

    `inputs`, `prompts` and `completions` are this rank's B rows; `rewards` are all ranks' raw rewards,
    `(N, number of reward functions)` in rank order, NaN where a function returned None or the row was filtered out.
    """

    inputs: list[dict]
    prompts: list
    completions: list
    rewards: torch.Tensor


class ScoredRollout:
    """Keeps the last `_calculate_rewards` call as `self._rollout` (see `Rollout`).

    First in the bases of a trainer: upstream's own call, after everything that changes rewards, is the last one.
    """

    _rollout: Rollout | None = None

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._rollout = Rollout(inputs, prompts, completions, rewards)
        return rewards


class LossInputs:
    """Lets an algorithm revise the inputs of one loss computation once the policy's log-probabilities are known.

    TRL's loss asks for the log-probabilities first and reads advantages and old log-probabilities afterwards; in
    between stands `_revise_loss_inputs`. It works on a copy, since TRL reuses a batch when `num_iterations > 1`.
    """

    _loss_inputs: dict | None = None

    def _compute_loss(self, model, inputs):
        self._loss_inputs = dict(inputs)
        try:
            return super()._compute_loss(model, self._loss_inputs)
        finally:
            self._loss_inputs = None

    def _get_per_token_logps_and_entropies(self, *args, **kwargs):
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._loss_inputs is not None:
            self._revise_loss_inputs(self._loss_inputs, result[0].detach())
        return result

    def _revise_loss_inputs(self, inputs: dict, logps: torch.Tensor) -> None:
        """Change `inputs` in place. `logps` `(B, T)`: log-probabilities of the completion tokens now, detached."""


def loss_mask(inputs: dict) -> torch.Tensor:
    """`(B, T)`: 1 where a completion token was written by the policy, 0 on padding and on what a tool wrote."""
    mask = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask
