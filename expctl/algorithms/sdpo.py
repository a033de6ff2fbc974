"""SDPO (arXiv 2601.20802) as TRL has it, resumed to the last bit from any checkpoint."""

from trl.experimental import sdpo

from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint
from expctl.algorithms.teacher_checkpoint import TeacherCheckpoint

REWARD = "self_distillation/reward_mean"


class SDPOTrainer(TeacherCheckpoint, RolloutCheckpoint, sdpo.SDPOTrainer):  # type: ignore[misc]
    """TRL's `SDPOTrainer`, whose checkpoints hold the rollout that is trained on and a teacher that moves.

    Its mean reward is logged as those of other trainers: `reward`, and `eval_reward` of an evaluation.
    """

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `transformers.Trainer.log`."""
        name, mode = ("reward", "train") if self.model.training else ("eval_reward", "eval")
        rewards = self._metrics[mode].get(REWARD)
        if rewards:
            logs[name] = sum(rewards) / len(rewards)
        super().log(logs, start_time)
