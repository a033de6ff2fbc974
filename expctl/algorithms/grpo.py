"""GRPO (DeepSeekMath, arXiv 2402.03300) as TRL has it, resumed to the last bit from any checkpoint."""

import trl

from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint


class GRPOTrainer(RolloutCheckpoint, trl.GRPOTrainer):
    """TRL's `GRPOTrainer`, whose checkpoints hold the rollout that is being trained on (see `RolloutCheckpoint`)."""
