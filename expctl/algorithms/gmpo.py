"""GMPO (arXiv 2507.20673) as TRL has it, resumed to the last bit from any checkpoint."""

from trl.experimental import gmpo

from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint


class GMPOTrainer(RolloutCheckpoint, gmpo.GMPOTrainer):
    """TRL's `GMPOTrainer`, whose checkpoints hold the rollout that is being trained on (see `RolloutCheckpoint`)."""
