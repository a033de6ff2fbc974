"""RLOO (arXiv 2402.14740) as TRL has it, resumed to the last bit from any checkpoint."""

import trl

from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint


class RLOOTrainer(RolloutCheckpoint, trl.RLOOTrainer):  # type: ignore[misc] # a rollout is kept as GRPO keeps it
    """TRL's `RLOOTrainer`, whose checkpoints hold the rollout that is being trained on (see `RolloutCheckpoint`)."""
