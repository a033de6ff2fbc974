"""GRPO with a replay buffer: groups that teach nothing give way to stored groups that do.

A group whose rewards are all equal has no advantage and no gradient. Before the batch is trained on, such groups are
replaced by groups of earlier batches, drawn by the contrast of their raw rewards. There is no single paper; nearest are
the dynamic sampling of DAPO (2503.14476), RePO (2506.09340) and ExGRPO (2510.02245). TRL had a trainer of this name.
"""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.grpo_trainer import RewardFunc

from expctl.algorithms.limits import check_replay
from expctl.algorithms.replay import GroupReplay
from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint
from expctl.algorithms.trainer_hooks import ScoredRollout


@dataclass
class GRPOWithReplayBufferConfig(GRPOConfig):
    """`GRPOConfig` and the bounds of the replay buffer.

    Args:
        replay_buffer_size: groups stored at most; 0 is plain GRPO, to the last bit.
        replay_buffer_max_bytes: bytes of tensors stored at most, in every process.
        replay_warmup_steps: optimizer steps before the first replay; groups are stored from the start.
        replay_max_age: optimizer steps between the sampling of a group and its last replay.
        replay_max_uses: replays of one group.
        replay_max_fraction: share of the groups of a generation batch that may be replayed ones, rounded down;
            all of them by default, as in the trainer that founded it, which may be one group a batch.
        replay_correction: what corrects a replayed row for the policy having moved since, besides the ratio.
            "mask" keeps the importance ratio against the policy that wrote it, with the clip range of all rows, and
            drops the row if its advantage is negative and that policy is further away than `replay_mask_threshold`
            (off-policy sequence masking, DeepSeek-V3.2, equation 9). "truncate" sets the ratio to one and weighs the
            row by the product of its token ratios, at most `replay_weight_cap`; choose it for a very tight clip range.
        replay_mask_threshold: mean over the tokens of log pi_then - log pi_now, in nats.
        replay_weight_cap: greatest weight of a row under "truncate".

    Raises:
        ValueError: for a value outside its range.
    """

    replay_buffer_size: int = 64
    replay_buffer_max_bytes: int = 2**30
    replay_warmup_steps: int = 0
    replay_max_age: int = 100
    replay_max_uses: int = 4
    replay_max_fraction: float = 1.0
    replay_correction: str = "mask"
    replay_mask_threshold: float = 0.5
    replay_weight_cap: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_replay(self)


class GRPOWithReplayBufferTrainer(RolloutCheckpoint, ScoredRollout, GroupReplay, GRPOTrainer):
    """TRL's `GRPOTrainer` with replay of whole groups (see `GroupReplay`); every constructor argument is TRL's.

    Example:
        GRPOWithReplayBufferTrainer(model, reward_funcs=accuracy, train_dataset=prompts,
                                    args=GRPOWithReplayBufferConfig(replay_buffer_size=64))
    """

    _tag_names = ["trl", "grpo", "replay-buffer"]
    _name = "GRPO with replay buffer"

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: GRPOWithReplayBufferConfig | None = None,
        *positional: Any,
        **keywords: Any,
    ):
        args = GRPOWithReplayBufferConfig() if args is None else args
        super().__init__(model, reward_funcs, args, *positional, **keywords)
