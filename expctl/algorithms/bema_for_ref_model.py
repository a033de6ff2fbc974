"""The reference model of DPO and GRPO as a bias-corrected average of the policy (BEMA, 2508.00180).

    trainer = DPOTrainer(..., callbacks=[BEMACallback(update_ref_model=True)])

`BEMACallback` (in `bema_callback`) keeps the average and needs no special trainer for that. What does need to know the
trainer, the reference model, evaluation and a checkpoint to resume, is brought by `BEMATrainerMixin`, for any trainer:
`class MyTrainer(BEMATrainerMixin, SFTTrainer): pass`. Where a reference model lives: `bema_reference`.
"""

import inspect
from contextlib import nullcontext
from pathlib import Path

import trl
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.algorithms.bema_callback import BEMACallback
from expctl.algorithms.bema_reference import refuse_before_load

__all__ = ["BEMACallback", "BEMATrainerMixin", "DPOTrainer", "GRPOTrainer"]


class BEMATrainerMixin:
    """Before any TRL trainer in the bases: binds its `BEMACallback`, if it has one, and does nothing otherwise."""

    def __init__(self, *args, **kwargs):
        given = inspect.signature(super().__init__).bind_partial(*args, **kwargs).arguments
        given = given | kwargs
        callback = _only_bema_callback(given.get("callbacks") or [])
        if callback is not None:
            refuse_before_load(callback, self, given)
        super().__init__(*args, **kwargs)
        self._bind_bema()

    def train(self, resume_from_checkpoint=None, *args, **kwargs):
        callback = self._bind_bema()
        if callback is not None:
            path = resume_from_checkpoint
            callback.resume_from_checkpoint = None if path is None or isinstance(path, bool) else path
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def evaluate(self, *args, **kwargs):
        callback = _only_bema_callback(self.callback_handler.callbacks)
        with callback.swapped_in() if callback and callback.evaluate_with_bema else nullcontext():
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, model, trial):
        callback = _only_bema_callback(self.callback_handler.callbacks)
        if callback is not None and self.args.should_save and not self.args.save_only_model:
            # First, so that a checkpoint with its trainer_state.json, which comes last, is complete.
            folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
            callback.save(folder, self.state.global_step)
        super()._save_checkpoint(model, trial)

    def _bind_bema(self):
        callback = _only_bema_callback(self.callback_handler.callbacks)
        if callback is not None:
            callback.bind(self)
        return callback


def _only_bema_callback(callbacks) -> BEMACallback | None:
    found = [callback for callback in callbacks if isinstance(callback, BEMACallback)]
    if len(found) > 1:
        raise ValueError(
            f"BEMA: {len(found)} BEMACallbacks on one trainer would overwrite each other's state and reference. "
            "Keep one."
        )
    return found[0] if found else None


class DPOTrainer(BEMATrainerMixin, trl.DPOTrainer):
    """TRL's `DPOTrainer` whose reference model a `BEMACallback(update_ref_model=True)` moves."""


class GRPOTrainer(BEMATrainerMixin, trl.GRPOTrainer):
    """TRL's `GRPOTrainer` whose KL reference (`beta > 0`) a `BEMACallback(update_ref_model=True)` moves."""
