"""Dynamic sampling: a group whose rewards are all equal gives way to one of another prompt, sampled in the same step.

"DAPO: An Open-Source LLM Reinforcement Learning System at Scale", arXiv 2503.14476, section 3.2, equation 11: the
objective holds for groups with 0 < |right completions| < G. The others have no advantage and no gradient, and become
more as the policy gets better, so that fewer groups than were asked for are trained on. DAPO samples until its batch is
full; here what is lacking is sampled again, at most `resample_tries` times, and what then still lacks contrast stays.

What counts as contrast is not the paper's accuracy but the raw rewards themselves, so that graded rewards and several
reward functions keep what they teach (see `group_contrast.contrast`). `resampling.py` does the sampling.
"""

from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.grpo_trainer import RewardFunc

from expctl.algorithms.limits import check_resampling
from expctl.algorithms.resampling import DynamicSampling
from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint


@dataclass
class DynamicSamplingConfig(GRPOConfig):
    """`GRPOConfig` and the bound on dynamic sampling.

    Args:
        resample_tries: how many times a step samples other prompts for the groups that lack contrast; 0 is GRPO, to
            the last bit. A try samples as many groups as are lacking, so most tries cost a part of a batch.

    Raises:
        ValueError: for a negative number.
    """

    resample_tries: int = field(
        default=10,
        metadata={"help": "Times that groups of equal rewards are sampled anew from other prompts; 0 is GRPO."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resampling(self)


class DynamicSamplingTrainer(RolloutCheckpoint, DynamicSampling, GRPOTrainer):
    """TRL's `GRPOTrainer` with dynamic sampling (see `DynamicSampling`); every constructor argument is TRL's.

    Example:
        DynamicSamplingTrainer(model, reward_funcs=accuracy, train_dataset=prompts,
                               args=DynamicSamplingConfig(resample_tries=10, epsilon_high=0.28))
    """

    _tag_names = ["trl", "grpo", "dynamic-sampling"]
    _name = "GRPO with dynamic sampling"
    _paper = {"title": "DAPO: An Open-Source LLM Reinforcement Learning System at Scale", "id": "2503.14476"}

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: DynamicSamplingConfig | None = None,
        *positional: Any,
        **keywords: Any,
    ):
        args = DynamicSamplingConfig() if args is None else args
        super().__init__(model, reward_funcs, args, *positional, **keywords)
