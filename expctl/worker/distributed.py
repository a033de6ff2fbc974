"""Several ranks train one model. Where they do not, each trains its own and reports success, so it is made sure of."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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


def evaluate_before_training(
    trainer: Trainer, around: Callable[[], AbstractContextManager] = nullcontext
) -> dict[str, float]:
    """`trainer.evaluate()` within `around()`, after which several ranks still train one model.

    Returns:
        The metrics; where the model is split over the ranks, a mapping that has them once training has begun, since
        only then is the model prepared, together with its optimizer (FSDP2 and DeepSpeed know no other way).
    """
    metrics: dict[str, float] = {}

    def evaluate() -> None:
        with around():
            metrics.update(trainer.evaluate())

    if is_sharded(trainer):
        trainer.add_callback(EvaluateFirst(evaluate))
        return metrics
    evaluate()
    if _replicated(trainer):
        # The evaluation has prepared the model without what exchanges gradients, and marked it as prepared; training
        # would take it as it is, and every rank go its own way (transformers 5.23, accelerate 1.15).
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        model._is_accelerate_prepared = False
    return metrics


class EvaluateFirst(TrainerCallback):
    """Evaluates when training begins, as its last callback: all others have begun."""

    def __init__(self, evaluate: Callable[[], None]):
        self._evaluate = evaluate

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._evaluate()


class TrainTogether(TrainerCallback):
    """Refuses to train when the gradients of the ranks would not be exchanged, or each would hold what is to be split.

    `sharding`: whether the experiment asks for a model that is split over the ranks.
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
    """Whether FSDP or DeepSpeed splits the model, its gradients or its optimizer over the ranks."""
    return trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled


def _replicated(trainer: Trainer) -> bool:
    """Whether every one of several ranks holds the whole model, so that gradients are to be exchanged."""
    elsewhere = is_sharded(trainer) or trainer.is_distributed_loading_by_transformers
    return trainer.args.world_size > 1 and not elsewhere
