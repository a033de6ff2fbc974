"""SDFT as TRL has it, resumed to the last bit from any checkpoint, and with the metrics of an evaluation."""

from trl.experimental import sdft

from expctl.algorithms.evaluation_metrics import EvaluationMetrics
from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint
from expctl.algorithms.teacher_checkpoint import TeacherCheckpoint


class SDFTTrainer(EvaluationMetrics, TeacherCheckpoint, RolloutCheckpoint, sdft.SDFTTrainer):
    """TRL's `SDFTTrainer`, whose checkpoints hold the rollout that is trained on and a teacher that moves."""
