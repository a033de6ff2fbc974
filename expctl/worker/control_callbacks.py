"""The callbacks that every rank has: stop when told, and show signs of life."""

import os
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.worker.stop import StoppedError, StopRequest
from expctl.worker.watchdog import HangReport


class StopWhenTold(TrainerCallback):
    """Ends training with a checkpoint when any rank was told to stop; all agree on the step.

    Asked during a step, it is the end of that step; during an evaluation or a save within training, the end of those,
    since half of an evaluation would leave random states that no undisturbed run has.
    """

    def __init__(self, request: StopRequest):
        self._request = request

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._stop(args, control, save=True)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._stop(args, control, save=True)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._stop(args, control, save=False)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._request.may_break_off:
            stop_here_if_told(self._request, args.device)

    def _stop(self, args: TrainingArguments, control: TrainerControl, *, save: bool) -> None:
        if agree(self._request, args.device):
            control.should_training_stop = True
            control.should_save = save


class SignsOfLife(TrainerCallback):
    """Whatever moves in a training or an evaluation shows that the rank does not hang."""

    def __init__(self, hang: HangReport):
        self._hang = hang

    def _moved(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._hang.moved()

    on_train_begin = on_step_end = on_substep_end = on_prediction_step = on_save = _moved


def agree(request: StopRequest, device: torch.device) -> bool:
    """Whether at least one rank was told to stop; every rank gets the same answer. All ranks must call it."""
    asked = request.asked
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        value = torch.tensor(float(asked), device=device)
        torch.distributed.all_reduce(value, op=torch.distributed.ReduceOp.MAX)
        asked = bool(value.item())
    request.agreed = request.agreed or asked
    return asked


def stop_here_if_told(request: StopRequest, device: torch.device) -> None:
    """Leave, on all ranks, when one was told to.

    Raises:
        StoppedError: one was.
    """
    if agree(request, device):
        raise StoppedError
