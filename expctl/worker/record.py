"""The record of a run: its metrics, a row a logging step, and what it is doing right now."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.runs.files import Run, read_json, read_metrics, write_whole
from expctl.runs.progress import Progress


class Record(TrainerCallback):
    """Appends each logging step to `metrics.jsonl`, `step` first, and keeps the progress file fresh."""

    def __init__(self, run: Run, progress: Progress):
        self._run = run
        self._progress = progress
        self._file: TextIO | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.step(state.global_step, state.max_steps, {})

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict | None = None, **_: Any
    ) -> None:
        if not state.is_world_process_zero or not is_step(logs):
            return
        numbers = numbers_of(logs)
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


def drop_what_comes_again(metrics: Path, checkpoint: Path | None) -> None:
    """Keep of an earlier attempt's rows those that its checkpoint has behind it; this attempt writes the others again.

    A last line that was cut short goes too. Without a checkpoint everything comes again.
    """
    if not metrics.exists():
        return
    kept = _before(read_metrics(metrics), checkpoint) if checkpoint else []
    write_whole(metrics, "".join(json.dumps(row) + "\n" for row in kept))


def _before(rows: list[dict[str, Any]], checkpoint: Path) -> list[dict[str, Any]]:
    state = read_json(checkpoint / "trainer_state.json") or {}
    step = state.get("global_step", 0)
    # A log or an evaluation may have followed the checkpoint of its own step: the end of the epoch, or of training.
    behind = Counter(is_evaluation(row) for row in state.get("log_history", []) if row.get("step") == step)
    kept = []
    for row in rows:
        at_step = row["step"] == step
        if row["step"] < step or (at_step and behind[is_evaluation(row)] > 0):
            behind[is_evaluation(row)] -= at_step
            kept.append(row)
    return kept


def is_step(logs: dict[str, Any] | None) -> bool:
    """Whether a trainer's log is of a step; its closing words (train_runtime, ...) stand in the summary."""
    return bool(logs) and "train_runtime" not in logs


def numbers_of(logs: dict[str, Any]) -> dict[str, float | None]:
    """The numbers of a log as `metrics.jsonl` holds them."""
    return {key: finite(value) for key, value in logs.items() if isinstance(value, int | float)}


def is_evaluation(row: dict[str, Any]) -> bool:
    return any(key.startswith("eval_") for key in row)


def finite(value: float) -> float | None:
    """JSON has no NaN or infinity; a number that is none is written as null."""
    return value if math.isfinite(value) else None
