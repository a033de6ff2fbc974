"""Writes `samples.jsonl`: a few completions of a run with their rewards, for a person to read."""

import json
import logging
from collections.abc import Sequence, Sized
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.algorithms.completion_log import CUT_OFF, ENDED, LoggedCompletion, logged_completions
from expctl.runs.files import Run, read_metrics, write_whole
from expctl.worker.record import finite

logger = logging.getLogger(__name__)
MOST = 4
# Of a longer text the beginning and the end are kept, half of it each.
LONGEST = 2000
EVALUATION, TRAINING = "eval", "train"


class Samples(TrainerCallback):
    """Writes some of the completions that the trainer has sampled anyway, from TRL's own log of them.

    Of each evaluation: one completion of each of the same four prompts. Of a training without evaluations: four
    completions of one prompt at the steps 1, 2, 4, 8, ... and the last. Nothing is written on other ranks than the
    first, or where the trainer samples nothing. No random number is drawn for it, and a file that cannot be written
    does not end the training.
    """

    def __init__(self, trainer: Trainer, run: Run):
        self._trainer = trainer
        self._path = run.samples
        self._last: tuple[int, str] | None = None

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            rows = logged_completions(self._trainer)
            self._write(state.global_step, EVALUATION, _one_per_prompt(rows, self._evaluated_prompts()))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        step = state.global_step
        if not state.is_world_process_zero or (args.do_eval and self._trainer.eval_dataset is not None):
            return
        if step.bit_count() == 1 or step == state.max_steps:
            self._write(step, TRAINING, logged_completions(self._trainer)[-MOST:])

    def _evaluated_prompts(self) -> int:
        """How many prompts of the log can be of the evaluation: those before them were trained on."""
        dataset = self._trainer.eval_dataset
        if isinstance(dataset, Sized) and not isinstance(dataset, dict):
            return min(MOST, len(dataset))
        return MOST

    def _write(self, step: int, kind: str, rows: Sequence[LoggedCompletion]) -> None:
        """Append rows, once an incomplete line and an earlier attempt's rows of this step and later ones are gone."""
        if not rows:
            return
        lines = [json.dumps({"step": step, "kind": kind} | _as_json(row), ensure_ascii=False) + "\n" for row in rows]
        try:
            if self._last in (None, (step, kind)) and self._path.exists():
                kept = [row for row in read_metrics(self._path) if _is_before(row, step, kind)]
                write_whole(self._path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
        except OSError as error:
            logger.warning("the completions of step %d were not kept: %s", step, error)
        self._last = step, kind


def _is_before(row: dict[str, Any], step: int, kind: str) -> bool:
    at = row.get("step", 0)
    return at < step or (at == step and row.get("kind") != kind)


def _one_per_prompt(rows: list[LoggedCompletion], most: int) -> list[LoggedCompletion]:
    """The last completion of each of the last `most` prompts."""
    chosen: list[LoggedCompletion] = []
    for row in reversed(rows):
        if len(chosen) == most:
            break
        if all(row["prompt"] != other["prompt"] for other in chosen):
            chosen.append(row)
    return chosen[::-1]


def _as_json(row: LoggedCompletion) -> dict[str, Any]:
    """The row as `samples.jsonl` holds it: texts, shortened, and rewards that JSON has."""
    rewards = {name: None if value is None else finite(value) for name, value in row["rewards"].items()}
    shown: dict[str, Any] = {
        "prompt": cut(shown_text(row["prompt"])),
        "completion": cut(shown_text(row["completion"])),
        "rewards": rewards,
    }
    ending = row["ending"]
    return shown if ending is None else shown | {"truncated": ending == CUT_OFF, "unfinished": ending != ENDED}


def shown_text(content: Any) -> str:
    """A prompt or a completion as text: of a conversation every message with its role."""
    if isinstance(content, str):
        return content
    messages = [message for message in content if isinstance(message, dict)] if isinstance(content, list) else []
    if len(messages) == 1:
        return _message_text(messages[0].get("content"))
    return "\n".join(f"{message.get('role')}: {_message_text(message.get('content'))}" for message in messages)


def _message_text(content: Any) -> str:
    """The text of a message's content, which may consist of parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", f"[{part.get('type')}]")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[... {len(text) - LONGEST:,} characters ...]\n{text[-half:]}"
