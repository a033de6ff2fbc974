"""The callbacks that every run has: write the metrics, report progress, stop when told."""

import json
import math
import os
from typing import Any, TextIO

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.runs.files import Run, read_metrics, write_whole
from expctl.runs.progress import Progress
from expctl.worker.stop import StopRequest


class Record(TrainerCallback):
    """Appends each logging step to `metrics.jsonl`, `step` first, and keeps the progress file fresh."""

    def __init__(self, run: Run, progress: Progress):
        self._run = run
        self._progress = progress
        self._file: TextIO | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self._drop_after(state.global_step)
        self._progress.step(state.global_step, state.max_steps, {})

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict | None = None, **_: Any
    ) -> None:
        # The trainer's own closing words (train_runtime, ...) are no step; they stand in the summary.
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        numbers = {key: finite(value) for key, value in logs.items() if isinstance(value, int | float)}
        if self._file is None:
            self._file = self._run.metrics.open("a", encoding="utf-8", buffering=1)
        self._file.write(json.dumps({"step": state.global_step} | numbers) + "\n")
        self._progress.step(state.global_step, state.max_steps, {k: v for k, v in numbers.items() if v is not None})

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.step(state.global_step, state.max_steps, {})

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.write()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.write()

    def _drop_after(self, step: int) -> None:
        """Rows of an earlier attempt beyond the checkpoint that this one carries on from are its to write again."""
        if not self._run.metrics.exists():
            return
        if self._file is not None:  # it is about to be another file of this name
            self._file.close()
            self._file = None
        kept = [row for row in read_metrics(self._run.metrics) if row.get("step", 0) <= step]
        write_whole(self._run.metrics, "".join(json.dumps(row) + "\n" for row in kept))


class StopWhenTold(TrainerCallback):
    """Ends training after the current step with a checkpoint when any rank was told to stop; all agree on the step."""

    def __init__(self, request: StopRequest):
        self._request = request

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if any_rank(self._request.asked, args.device):
            self._request.asked = True
            control.should_training_stop = True
            control.should_save = True


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on at least one rank; every rank gets the same answer."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return flag
    value = torch.tensor(float(flag), device=device)
    torch.distributed.all_reduce(value, op=torch.distributed.ReduceOp.MAX)
    return bool(value.item())


def finite(value: float) -> float | None:
    """JSON has no NaN or infinity; a number that is none is written as null."""
    return value if math.isfinite(value) else None
