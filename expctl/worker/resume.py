"""Exact resumption: a resumed run equals one that was never interrupted, to the last bit on the CPU."""

import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.worker.resume_state import (
    DataOrder,
    loop_state,
    path_of,
    required_attribute,
    restore_callbacks,
    restore_loop_state,
)
from expctl.worker.reward_state import restore_reward_states, reward_states
from expctl.worker.stop import StopRequest


class ExactResume(TrainerCallback):
    """Saves the state that the stock checkpoint lacks, and continues exactly where the checkpoint was written.

    Besides the state of the loop (see `expctl.worker.resume_state`) that is the position in it: the checkpoint of an
    epoch's last step is written before the log, the evaluation and the save at the end of the epoch, which are made
    when the run is resumed; and after the last step of all, or of an early stop, transformers would take one more.

    The last callback of the trainer, so that other callbacks have handled the same event before it.
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
        self._run_stock_epoch = required_attribute(trainer, "_run_epoch")
        self._log_save_evaluate = required_attribute(trainer, "_maybe_log_save_evaluate")
        hooked: Any = trainer  # Any: methods are replaced, since transformers has no hooks for these
        hooked._run_epoch = self._run_epoch
        hooked._maybe_log_save_evaluate = self._remember_step
        trainer.add_callback(self)

    def save(self, checkpoint: Path) -> None:
        """Write this rank's file into a checkpoint that is being written."""
        trainer = self._trainer
        state = loop_state(trainer, *self._last_step) | {
            "order": self._order.state(train_dataloader(trainer)),
            "epoch_has_ended": self._epoch_has_ended,
            "over": self._training_is_over(),
            "memories": reward_states(trainer),
        }
        checkpoint.mkdir(parents=True, exist_ok=True)
        torch.save(state, path_of(checkpoint, trainer.args.process_index))

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.global_step:
            reward_states(self._trainer)  # a state that cannot be saved raises now, not at the first checkpoint
            return
        # The checkpoint has the steps at which the earlier attempt logged and saved.
        state.compute_steps(args, state.max_steps)
        checkpoint = self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        saved = torch.load(path_of(checkpoint, args.process_index), map_location="cpu", weights_only=True)
        restore_loop_state(self._trainer, saved)
        restore_callbacks(self._trainer)
        restore_reward_states(self._trainer, saved.get("memories", {}))
        self._resumed_at_the_end = float(state.epoch).is_integer()
        self._resumed_in_the_middle = not self._resumed_at_the_end
        self._order.restore(saved["order"], train_dataloader(self._trainer), in_the_middle=self._resumed_in_the_middle)
        # Where no further step is taken, transformers does not load the random states.
        required_attribute(self._trainer, "_load_rng_state")(str(checkpoint))
        args.eval_on_start = False
        self._over = saved["over"]
        if not saved["epoch_has_ended"] and (self._over or self._resumed_at_the_end):
            self._end_epoch(*saved.get("last_step", (None, None)))

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._epoch_has_ended = True
        if self._stop.agreed and not self._training_is_over():
            # The epoch goes on, or ends, in the next attempt.
            control.should_log = control.should_evaluate = control.should_save = False

    def _remember_step(self, tr_loss: Any, grad_norm: Any, *rest: Any, learning_rate: Any = None) -> None:
        self._last_step = grad_norm, learning_rate
        self._log_save_evaluate(tr_loss, grad_norm, *rest, learning_rate=learning_rate)

    def _run_epoch(self, **arguments: Any) -> None:
        trainer, dataloader = self._trainer, arguments["train_dataloader"]
        if self._over or trainer.control.should_training_stop:
            trainer.control.should_training_stop = True
            return
        if self._resumed_in_the_middle:
            self._order.redraw(dataloader, arguments["epoch"])
        else:
            self._order.epoch_begins(dataloader)
        if self._resumed_at_the_end:
            # The random states are loaded already, and the end of the epoch has drawn from them since.
            arguments["resume_from_checkpoint"] = None
        self._resumed_in_the_middle = self._resumed_at_the_end = self._epoch_has_ended = False
        self._run_stock_epoch(**arguments)

    def _end_epoch(self, grad_norm: float | None, learning_rate: float | None) -> None:
        """Log, evaluate and save as the stock loop does after an epoch's last step."""
        trainer = self._trainer
        trainer.model_wrapped.train()  # TRL's logs take a model in evaluation mode for an evaluation
        trainer.control = trainer.callback_handler.on_epoch_end(trainer.args, trainer.state, trainer.control)
        positional = trainer._tr_loss, grad_norm, trainer.model_wrapped, None, trainer.state.epoch, None, time.time()
        trainer._maybe_log_save_evaluate(*positional, learning_rate=learning_rate)

    def _training_is_over(self) -> bool:
        """Whether an uninterrupted run would take no further step: the last is done, or a callback has stopped it."""
        state, control = self._trainer.state, self._trainer.control
        if state.global_step >= state.max_steps:
            return True
        if control.should_training_stop and not self._stop.agreed:
            return True
        # A request to stop at the same step hides an early stop, whose own counter still shows it.
        return any(map(_has_lost_patience, self._trainer.callback_handler.callbacks))


def train_dataloader(trainer: Trainer) -> DataLoader[Any]:
    """The dataloader of a training that has begun."""
    dataloader: DataLoader[Any] | None = trainer.callback_handler.train_dataloader
    assert dataloader is not None  # set before `on_train_begin`
    return dataloader


def _has_lost_patience(callback: TrainerCallback) -> bool:
    return (
        isinstance(callback, EarlyStoppingCallback)
        and callback.early_stopping_patience_counter >= callback.early_stopping_patience
    )
