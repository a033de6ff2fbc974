"""Several ranks train one model. Where they do not, each trains its own and reports success, so it is made sure of."""

import os
from typing import Any

from torch.nn.parallel import DistributedDataParallel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def assert_world_size(joined: int) -> None:
    """Processes that did not find each other would each train a model of their own.

    Raises:
        RuntimeError: this rank is in a group of another size than was launched.
    """
    launched = int(os.environ.get("EXPCTL_WORLD_SIZE", joined))
    if joined != launched:
        raise RuntimeError(
            f"{launched} processes were launched but this one is in a group of {joined}: they did not find each other. "
            "Was `accelerate launch` told --cpu (it then starts one process)? Is RANK/WORLD_SIZE/MASTER_ADDR set?"
        )


def evaluate_before_training(trainer: Trainer) -> dict[str, float]:
    """`trainer.evaluate()`, after which several ranks still train one model.

    An evaluation that comes before training prepares the model without what exchanges gradients, and marks it as
    prepared; training then takes it as it is, and every rank goes its own way (transformers 5.23, accelerate 1.15).
    """
    metrics = trainer.evaluate()
    if _replicated(trainer):
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        model._is_accelerate_prepared = False
    return metrics


class TrainTogether(TrainerCallback):
    """Refuses to train when the gradients of the ranks would not be exchanged."""

    def __init__(self, trainer: Trainer):
        self._trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        trainer = self._trainer
        if _replicated(trainer) and not isinstance(trainer.model_wrapped, DistributedDataParallel):
            raise RuntimeError(
                f"{args.world_size} processes would each train a model of their own: the model is a "
                f"{type(trainer.model_wrapped).__name__}, which exchanges no gradients."
            )


def _replicated(trainer: Trainer) -> bool:
    """Whether every one of several ranks holds the whole model, so that gradients are to be exchanged."""
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled or trainer.is_distributed_loading_by_transformers
    return trainer.args.world_size > 1 and not sharded
