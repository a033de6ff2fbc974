"""Makes a resumed run the run that was never interrupted, to the last bit on the CPU, whatever the trainer."""

import time
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.worker.resume_state import DataOrder, counted, needed, path_of, restore, restore_callbacks
from expctl.worker.reward_state import restore_states, states
from expctl.worker.stop import StopRequest


class ExactResume(TrainerCallback):
    """Saves what the stock trainer forgets, and goes on exactly where the checkpoint was written.

    Besides the counters (see `expctl.worker.resume_state`) that is the place in the trainer's loop: a checkpoint of an
    epoch's last step comes before what is logged, evaluated and saved at the end of the epoch, which is made up for;
    and after the last step of all, or of an early stop, transformers would train one more.

    The last callback of the trainer, so that what others do at the same moment is done.
    """

    def __init__(self, trainer: Trainer, folder: Path, stop: StopRequest):
        self._trainer = trainer
        self._folder = folder
        self._stop = stop
        self._order = DataOrder()
        self._epoch_has_ended = False
        self._last_step: tuple[Any, float | None] = (None, None)
        self._resumed_in_the_middle = False
        self._resumed_at_the_end = False
        self._over = False
        run_epoch, log_save_evaluate = needed(trainer, "_run_epoch"), needed(trainer, "_maybe_log_save_evaluate")

        def go_on(this: Trainer, **given: Any) -> None:
            self._run_epoch(run_epoch, given)

        def remember(this: Trainer, tr_loss: Any, grad_norm: Any, *rest: Any, learning_rate: Any = None) -> None:
            self._last_step = grad_norm, learning_rate
            log_save_evaluate(tr_loss, grad_norm, *rest, learning_rate=learning_rate)

        trainer._run_epoch = MethodType(go_on, trainer)
        trainer._maybe_log_save_evaluate = MethodType(remember, trainer)
        trainer.add_callback(self)

    def save(self, checkpoint: Path) -> None:
        """Write this rank's file into a checkpoint that is being written."""
        trainer = self._trainer
        state = counted(trainer, *self._last_step) | {
            "order": self._order.state(trainer.callback_handler.train_dataloader),
            "epoch_has_ended": self._epoch_has_ended,
            "over": self._training_is_over(),
            "memories": states(trainer),
        }
        checkpoint.mkdir(parents=True, exist_ok=True)
        torch.save(state, path_of(checkpoint, trainer.args.process_index))

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.global_step:
            states(self._trainer)  # what cannot be saved is told now, not at the first checkpoint
            return
        # The checkpoint has the steps at which the earlier attempt logged and saved.
        state.compute_steps(args, state.max_steps)
        checkpoint = self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        saved = torch.load(path_of(checkpoint, args.process_index), map_location="cpu", weights_only=True)
        restore(self._trainer, saved)
        restore_callbacks(self._trainer)
        restore_states(self._trainer, saved.get("memories", {}))
        self._resumed_at_the_end = float(state.epoch).is_integer()
        self._resumed_in_the_middle = not self._resumed_at_the_end
        self._order.restore(
            saved["order"], self._trainer.callback_handler.train_dataloader, in_the_middle=self._resumed_in_the_middle
        )
        # Where no further step is taken, transformers does not load the random states.
        needed(self._trainer, "_load_rng_state")(str(checkpoint))
        args.eval_on_start = False
        self._over = saved["over"]
        if not saved["epoch_has_ended"] and (self._over or self._resumed_at_the_end):
            self._end_the_epoch(*saved.get("last_step", (None, None)))

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._epoch_has_ended = True
        if self._stop.agreed and not self._training_is_over():
            # The epoch goes on, or ends, in the next attempt.
            control.should_log = control.should_evaluate = control.should_save = False

    def _run_epoch(self, run_epoch: Any, given: dict[str, Any]) -> None:
        trainer, dataloader = self._trainer, given["train_dataloader"]
        if self._over or trainer.control.should_training_stop:
            trainer.control.should_training_stop = True
            return
        if self._resumed_in_the_middle:
            self._order.draw_again(dataloader, given["epoch"])
        else:
            self._order.epoch_begins(dataloader)
        if self._resumed_at_the_end:
            # The random states are loaded, and what the end of the epoch has drawn from them since is to stay.
            given["resume_from_checkpoint"] = None
        self._resumed_in_the_middle = self._resumed_at_the_end = self._epoch_has_ended = False
        run_epoch(**given)

    def _end_the_epoch(self, grad_norm: float | None, learning_rate: float | None) -> None:
        """Log, evaluate and save what the end of the epoch asks for, as the stock loop does after its last step."""
        trainer = self._trainer
        trainer.model_wrapped.train()  # evaluation is what the trainers' logs take another mode for
        trainer.control = trainer.callback_handler.on_epoch_end(trainer.args, trainer.state, trainer.control)
        trainer._maybe_log_save_evaluate(
            trainer._tr_loss, grad_norm, trainer.model_wrapped, None, trainer.state.epoch, None, time.time(),
            learning_rate=learning_rate,
        )  # fmt: skip

    def _training_is_over(self) -> bool:
        """Whether an undisturbed run would take no further step: the last is done, or a callback has stopped it."""
        state, control = self._trainer.state, self._trainer.control
        stopped = control.should_training_stop and not self._stop.agreed
        # Told to stop at the same step, early stopping can still be told by its own count.
        return stopped or state.global_step >= state.max_steps or any(map(_has_lost_patience, self._callbacks()))

    def _callbacks(self) -> list[TrainerCallback]:
        return self._trainer.callback_handler.callbacks


def _has_lost_patience(callback: TrainerCallback) -> bool:
    return (
        isinstance(callback, EarlyStoppingCallback)
        and callback.early_stopping_patience_counter >= callback.early_stopping_patience
    )
