"""The callbacks that every rank has: stop on request, and report signs of life to the watchdog."""

import os
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.worker.stop import StoppedError, StopRequest
from expctl.worker.watchdog import HangWatchdog


class StopOnRequest(TrainerCallback):
    """Ends training with a checkpoint when any rank was asked to stop; all ranks agree on the step.

    A request during a step takes effect at the end of that step. One during an evaluation or a save within training
    takes effect after it: half an evaluation would leave random states that no uninterrupted run has.
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
        if self._request.may_abort:
            raise_if_stopped(self._request, args.device)

    def _stop(self, args: TrainingArguments, control: TrainerControl, *, save: bool) -> None:
        if agree_to_stop(self._request, args.device):
            control.should_training_stop = True
            control.should_save = save


class Heartbeat(TrainerCallback):
    """Every event of a training or an evaluation tells the watchdog that the rank does not hang."""

    def __init__(self, watchdog: HangWatchdog):
        self._watchdog = watchdog

    def _beat(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._watchdog.reset()

    on_train_begin = on_step_end = on_substep_end = on_prediction_step = on_save = _beat


def agree_to_stop(request: StopRequest, device: torch.device) -> bool:
    """Whether at least one rank was asked to stop. All ranks must call it, and all get the same answer."""
    requested = request.requested
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        flag = torch.tensor(float(requested), device=device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        requested = bool(flag.item())
    request.agreed = request.agreed or requested
    return requested


def raise_if_stopped(request: StopRequest, device: torch.device) -> None:
    """Leave training or evaluation on all ranks when at least one was asked to stop.

    Raises:
        StoppedError: at least one rank was.
    """
    if agree_to_stop(request, device):
        raise StoppedError
