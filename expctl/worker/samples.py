"""A few completions of a run with their rewards, so that a person sees what the numbers mean: `samples.jsonl`."""

import json
import logging
from collections.abc import Sequence
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.runs.files import Run, read_metrics, write_whole
from expctl.worker.record import finite

logger = logging.getLogger(__name__)
MOST = 4
# Of a longer text the beginning and the end are kept, half of it each.
LONGEST = 2000
EVALUATION, TRAINING = "eval", "train"


class Samples(TrainerCallback):
    """Writes some of the completions that the trainer has sampled anyway, from where TRL keeps them for its own log.

    Of each evaluation the same four prompts, one completion each; of a training without evaluations four completions of
    one prompt at the steps 1, 2, 4, 8, ... and the last. Silent on every rank but the first, and where the trainer
    samples nothing. Nothing is drawn, sampled or counted for it, and a file that cannot be written costs no training.
    """

    def __init__(self, trainer: Trainer, run: Run):
        self._trainer = trainer
        self._path = run.samples
        self._last: tuple[int, str] | None = None

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            rows = self._sampled()
            self._write(state.global_step, EVALUATION, _one_of_each_prompt(rows, self._evaluated_prompts()))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        step = state.global_step
        if not state.is_world_process_zero or (args.do_eval and self._trainer.eval_dataset is not None):
            return
        if step.bit_count() == 1 or step == state.max_steps:
            self._write(step, TRAINING, self._sampled()[-MOST:])

    def _sampled(self) -> list[dict[str, Any]]:
        """The completions of the last batches, the latest last; none where the trainer keeps no such record."""
        logs = getattr(self._trainer, "_logs", None)
        if not isinstance(logs, dict) or not {"prompt", "completion", "rewards"} <= logs.keys():
            return []
        prompts, completions = list(logs["prompt"]), list(logs["completion"])
        # What has another length belongs to other rows.
        rewards = {name: list(values) for name, values in logs["rewards"].items() if len(values) == len(prompts)}
        return [
            {
                "prompt": prompt,
                "completion": completion,
                "rewards": {name: finite(values[row]) for name, values in rewards.items()},
            }
            for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=False))
        ]

    def _evaluated_prompts(self) -> int:
        """How many prompts may be of the evaluation: before them in the record stands what was trained on."""
        dataset = self._trainer.eval_dataset
        return min(MOST, len(dataset)) if hasattr(dataset, "__len__") and not isinstance(dataset, dict) else MOST

    def _write(self, step: int, kind: str, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows; those of an earlier attempt that come again go first, and a line that was cut short."""
        if not rows:
            return
        lines = [json.dumps({"step": step, "kind": kind} | _shortened(row), ensure_ascii=False) + "\n" for row in rows]
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


def _one_of_each_prompt(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The last completion of each of the last prompts."""
    found: list[dict[str, Any]] = []
    for row in reversed(rows):
        if len(found) == most:
            break
        if all(row["prompt"] != other["prompt"] for other in found):
            found.append(row)
    return found[::-1]


def _shortened(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: _cut(_text(row[name])) for name in ("prompt", "completion")}


def _text(content: Any) -> str:
    """A prompt or a completion as text: of a conversation every message with its role."""
    if isinstance(content, str):
        return content
    messages = [message for message in content if isinstance(message, dict)] if isinstance(content, list) else []
    if len(messages) == 1:
        return _words(messages[0].get("content"))
    return "\n".join(f"{message.get('role')}: {_words(message.get('content'))}" for message in messages)


def _words(content: Any) -> str:
    """The text of a message, which may consist of parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", f"[{part.get('type')}]")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[... {len(text) - LONGEST:,} characters ...]\n{text[-half:]}"
