"""Filtering, replay, dynamic sampling, ratio of sequences, credit of tokens and a moving reference, in one trainer.

Each part is neutral until it is configured, to the last bit, so that `ComposedTrainer` is whichever of the simpler
trainers its arguments describe: `GFPOTrainer`, `gspo_token.GRPOTrainer`, `GRPOWithReplayBufferTrainer`,
`DynamicSamplingTrainer`, `bema_for_ref_model.GRPOTrainer`, or several of them at once.

The order of the bases matters. A sampled batch passes them from right to left: groups without contrast are sampled
anew, tokens get their credit, rejected completions leave, then whole groups are replaced; so the filter has groups with
contrast to choose from, what is stored and replayed are kept completions with their credit, and a group is wasted when
those that were *kept* have no variance.
"""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel
from trl import GRPOTrainer
from trl.trainer.grpo_trainer import RewardFunc

from expctl.algorithms.bema_for_ref_model import BEMATrainerMixin
from expctl.algorithms.dynamic_sampling import DynamicSamplingConfig
from expctl.algorithms.gfpo import GFPOConfig, GroupFiltering
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig
from expctl.algorithms.gspo_token import SequenceTokenRatio
from expctl.algorithms.replay import GroupReplay
from expctl.algorithms.resampling import DynamicSampling
from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint
from expctl.algorithms.token_advantages import TokenAdvantages
from expctl.algorithms.trainer_hooks import ScoredRollout


@dataclass
class ComposedConfig(GFPOConfig, GRPOWithReplayBufferConfig, DynamicSamplingConfig):
    """The fields of all parts; the defaults are GRPO's.

    Args:
        replay_buffer_size: groups stored at most; 0, here the default, is no replay.
        resample_tries: tries at most for groups without contrast; 0, here the default, is no dynamic sampling.
    """

    replay_buffer_size: int = 0
    resample_tries: int = 0


class ComposedTrainer(
    BEMATrainerMixin,
    RolloutCheckpoint,
    ScoredRollout,
    GroupReplay,
    SequenceTokenRatio,
    GroupFiltering,
    TokenAdvantages,
    DynamicSampling,
    GRPOTrainer,
):
    """TRL's `GRPOTrainer` with every part of `expctl.algorithms`.

    Args besides those of `GRPOTrainer`:
        args: a `ComposedConfig`.
        group_filter_func: see `GFPOTrainer`; needs `args.num_remains_in_group`, or a filter that decides k.
        token_advantages: see `TokenAdvantages`; needs the level "token" or "sequence_token".
        callbacks: with a `BEMACallback` the reference model may move (see `bema_for_ref_model`).
    """

    args: ComposedConfig

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: ComposedConfig | None = None,
        *positional: Any,
        **keywords: Any,
    ):
        args = ComposedConfig() if args is None else args
        super().__init__(model, reward_funcs, args, *positional, **keywords)
