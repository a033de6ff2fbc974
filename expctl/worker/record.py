"""Records the metrics of a run, a row per logging step, and its progress."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.runs.files import Run, read_json, read_metrics, write_whole
from expctl.runs.progress import Progress


class MetricsRecorder(TrainerCallback):
    """Appends each logging step to `metrics.jsonl`, `step` first, and keeps the progress file fresh."""

    def __init__(self, run: Run, progress: Progress):
        self._run = run
        self._progress = progress
        self._file: TextIO | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.step(state.global_step, state.max_steps, {})

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or not is_step(logs):
            return
        numbers = numbers_in(logs)
        if self._file is None:
            self._file = self._run.metrics.open("a", encoding="utf-8", buffering=1)
        self._file.write(json.dumps({"step": state.global_step} | numbers) + "\n")
        known = {name: value for name, value in numbers.items() if value is not None}
        self._progress.step(state.global_step, state.max_steps, known)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.step(state.global_step, state.max_steps, {})

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.write()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._progress.write()


def drop_rows_after(metrics: Path, checkpoint: Path | None) -> None:
    """Drop an earlier attempt's rows after its checkpoint, since this attempt writes them again.

    Without a checkpoint all rows are dropped. An incomplete last line is dropped too.
    """
    if not metrics.exists():
        return
    kept = _before(read_metrics(metrics), checkpoint) if checkpoint else []
    write_whole(metrics, "".join(json.dumps(row) + "\n" for row in kept))


def _before(rows: list[dict[str, Any]], checkpoint: Path) -> list[dict[str, Any]]:
    state = read_json(checkpoint / "trainer_state.json") or {}
    step = state.get("global_step", 0)
    # At the end of an epoch or of training, a log or an evaluation may follow the checkpoint of its own step.
    logged = Counter(is_evaluation(row) for row in state.get("log_history", []) if row.get("step") == step)
    kept = []
    for row in rows:
        if row["step"] < step:
            kept.append(row)
        elif row["step"] == step and logged[is_evaluation(row)] > 0:
            logged[is_evaluation(row)] -= 1
            kept.append(row)
    return kept


def is_step(logs: dict[str, Any]) -> bool:
    """Whether a trainer's log is of a step, and not its closing one (`train_runtime`, ...), which the summary has."""
    return "train_runtime" not in logs


def numbers_in(logs: dict[str, Any]) -> dict[str, float | None]:
    """The numbers of a log as `metrics.jsonl` holds them. A trainer logs None for a mean over nothing."""
    return {key: finite(value) for key, value in logs.items() if value is None or isinstance(value, int | float)}


def is_evaluation(row: dict[str, Any]) -> bool:
    """Whether a row of the metrics is of an evaluation."""
    return any(key.startswith("eval_") for key in row)


def finite(value: float | None) -> float | None:
    """The value, or None for NaN and infinity, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None
