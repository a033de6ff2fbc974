"""Checks that several ranks train one model: where they do not, each trains a model of its own and reports success."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.nn.parallel import DistributedDataParallel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def check_world_size(joined: int) -> None:
    """Refuse a process group that is smaller than was launched: its processes did not find each other.

    Raises:
        RuntimeError: this rank is in a group of another size than was launched.
    """
    launched = int(os.environ.get("EXPCTL_WORLD_SIZE", joined))
    if joined != launched:
        raise RuntimeError(
            f"{launched} processes were launched but this one is in a group of {joined}: they did not find each other. "
            "Was `accelerate launch` told --cpu (it then starts one process)? Is RANK/WORLD_SIZE/MASTER_ADDR set?"
        )


def evaluate_before_training(
    trainer: Trainer, context: Callable[[], AbstractContextManager[None]] = nullcontext
) -> dict[str, float]:
    """Call `trainer.evaluate()` within `context()`, so that several ranks still train one model afterwards.

    Returns:
        The metrics. Where the model is sharded over the ranks they are filled in when training begins: FSDP2 and
        DeepSpeed prepare the model together with its optimizer only.
    """
    metrics: dict[str, float] = {}

    def evaluate() -> None:
        with context():
            metrics.update(trainer.evaluate())

    if is_sharded(trainer):
        trainer.add_callback(EvaluateOnTrainBegin(evaluate))
        return metrics
    evaluate()
    if _replicated(trainer):
        # The evaluation has prepared the model without DistributedDataParallel, and marked it as prepared. Training
        # would use it as it is, without any exchange of gradients (transformers 5.23, accelerate 1.15).
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        model._is_accelerate_prepared = False
    return metrics


class EvaluateOnTrainBegin(TrainerCallback):
    """Evaluates when training begins, as its last callback: after the `on_train_begin` of all others."""

    def __init__(self, evaluate: Callable[[], None]):
        self._evaluate = evaluate

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._evaluate()


class DistributedCheck(TrainerCallback):
    """Refuses to train when the ranks would exchange no gradients, or when a model to be sharded is not.

    Args:
        trainer: of this rank.
        sharding: whether the experiment asks for a model that is sharded over the ranks.
    """

    def __init__(self, trainer: Trainer, *, sharding: bool):
        self._trainer = trainer
        self._sharding = sharding

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        trainer, kind = self._trainer, type(self._trainer.model_wrapped).__name__
        if _replicated(trainer) and not isinstance(trainer.model_wrapped, DistributedDataParallel):
            raise RuntimeError(
                f"{args.world_size} processes would each train a model of their own: the model is a {kind}, which "
                "exchanges no gradients."
            )
        if self._sharding and not is_sharded(trainer):
            raise RuntimeError(
                "hardware.sharding asks for a model that is split over the processes, and each would hold all of it: "
                f"accelerate knows of no FSDP or DeepSpeed here (device {args.device}, model {kind})."
            )


def is_sharded(trainer: Trainer) -> bool:
    """Whether FSDP or DeepSpeed shards the model, its gradients or its optimizer over the ranks."""
    return trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled


def _replicated(trainer: Trainer) -> bool:
    """Whether each of several ranks holds the whole model, so that they must exchange gradients."""
    is_split = is_sharded(trainer) or trainer.is_distributed_loading_by_transformers
    return trainer.args.world_size > 1 and not is_split
