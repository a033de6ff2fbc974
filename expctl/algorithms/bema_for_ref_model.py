"""The reference model of DPO and GRPO as a bias-corrected average of the policy (BEMA, 2508.00180).

    trainer = DPOTrainer(..., callbacks=[BEMACallback(update_ref_model=True)])

`BEMACallback` (in `bema_callback`) keeps the average and needs no special trainer for that. What does need to know the
trainer, the reference model, evaluation and a checkpoint to resume, is brought by `BEMATrainerMixin`, for any trainer:
`class MyTrainer(BEMATrainerMixin, SFTTrainer): pass`. Where a reference model lives: `bema_reference`.
"""

import inspect
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import trl
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.algorithms.bema_callback import BEMACallback
from expctl.algorithms.bema_reference import refuse_before_load

if TYPE_CHECKING:
    from transformers import Trainer
    from transformers.trainer_utils import TrainOutput

    class TrainerMixin(Trainer):
        """What the mixin finds in `self`; at run time `object`, since the trainer comes last in the bases."""

        ref_model: Any
else:
    TrainerMixin = object

__all__ = ["BEMACallback", "BEMATrainerMixin", "DPOTrainer", "GRPOTrainer"]


class BEMATrainerMixin(TrainerMixin):
    """Before any TRL trainer in the bases: binds its `BEMACallback`, if it has one, and does nothing otherwise."""

    def __init__(self, *args: Any, **kwargs: Any):
        given = inspect.signature(super().__init__).bind_partial(*args, **kwargs).arguments
        given = given | kwargs
        callback = _only_bema_callback(given.get("callbacks") or [])
        if callback is not None:
            refuse_before_load(callback, self, given)
        super().__init__(*args, **kwargs)
        self._bind_bema()

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> "TrainOutput":
        """`Trainer.train`, which tells the callback the checkpoint to resume."""
        callback = self._bind_bema()
        if callback is not None:
            path = resume_from_checkpoint
            callback.resume_from_checkpoint = None if path is None or isinstance(path, bool) else path
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """`Trainer.evaluate`, with the averaged weights where the callback has `evaluate_with_bema`."""
        callback = _only_bema_callback(self.callback_handler.callbacks)
        with callback.swapped_in() if callback and callback.evaluate_with_bema else nullcontext():
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        callback = _only_bema_callback(self.callback_handler.callbacks)
        if callback is not None and self.args.should_save and not self.args.save_only_model:
            # First, so that a checkpoint with its trainer_state.json, which comes last, is complete.
            folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            callback.save(folder, self.state.global_step)
        super()._save_checkpoint(model, trial)

    def _bind_bema(self) -> BEMACallback | None:
        callback = _only_bema_callback(self.callback_handler.callbacks)
        if callback is not None:
            callback.bind(self)
        return callback


def _only_bema_callback(callbacks: Iterable[object]) -> BEMACallback | None:
    bema_callbacks = [callback for callback in callbacks if isinstance(callback, BEMACallback)]
    if len(bema_callbacks) > 1:
        raise ValueError(
            f"BEMA: {len(bema_callbacks)} BEMACallbacks on one trainer would overwrite each other's state and "
            "reference. Keep one."
        )
    return bema_callbacks[0] if bema_callbacks else None


class DPOTrainer(BEMATrainerMixin, trl.DPOTrainer):
    """TRL's `DPOTrainer` whose reference model a `BEMACallback(update_ref_model=True)` moves."""


class GRPOTrainer(BEMATrainerMixin, trl.GRPOTrainer):
    """TRL's `GRPOTrainer` whose KL reference (`beta > 0`) a `BEMACallback(update_ref_model=True)` moves."""
