"""An evaluation without training: what the trainer measured, every completion, and `summary.json`, written last."""

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from expctl.algorithms.evaluation import EvaluationTrainer
from expctl.algorithms.scored_completion import ScoredCompletion
from expctl.data.held_out import prompt_text_of
from expctl.data.images import named_only
from expctl.runs import manifest
from expctl.runs.files import Run, write_whole
from expctl.runs.progress import Progress
from expctl.runs.records import Summary
from expctl.worker.benchmarks import BenchmarkTrainer
from expctl.worker.prompt_statistics import by_prompt, interval, measured, per_prompt
from expctl.worker.reward_guard import Guard
from expctl.worker.samples import shown_text


class BatchProgress(TrainerCallback):
    """Reports the batches of an evaluation as the display shows the steps of a training."""

    def __init__(self, trainer: EvaluationTrainer, progress: Progress):
        self._trainer = trainer
        self._progress = progress
        self._batches = 0

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        self._batches += 1
        self._progress.step(self._batches, len(given["eval_dataloader"]), self._trainer.so_far())

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._batches = 0


def evaluate(trainer: EvaluationTrainer, run: Run, progress: Progress) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Evaluate, and keep the completions.

    Returns:
        The metrics, and the 95 % intervals over prompts of those that have one.
    """
    trainer.add_callback(BatchProgress(trainer, progress))
    for function in trainer.reward_funcs:
        if isinstance(function, Guard):
            function.keeps_answers = trainer.completions_a_prompt > 2  # below that there is no majority
    metrics: dict[str, Any] = trainer.evaluate()
    intervals: dict[str, list[float]] = {}
    if not trainer.is_world_process_zero():
        return metrics, intervals
    weights = dict(zip(trainer.reward_func_names, trainer.reward_weights.tolist(), strict=True))
    lines = []
    for name, scored in trainer.scored.items():
        prompts = by_prompt(scored, trainer.completions_a_prompt)
        lines += [json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(name, prompts)]
        for key, values in per_prompt(prompts, weights).items():
            _add(metrics, f"{name}_{key}", values, keeps=trainer.repeats_a_training)
            if found := interval(values):
                intervals[f"{name}_{key}"] = list(found)
    write_whole(run.completions, "".join(lines))
    return metrics, intervals


def evaluate_benchmarks(trainer: BenchmarkTrainer, run: Run) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The same for the tasks of lm-eval: its own figures, and intervals over the questions of each task."""
    metrics: dict[str, Any] = trainer.evaluate()
    intervals: dict[str, list[float]] = {}
    lines: list[str] = []
    asked: list[str] = []
    for name, scored in trainer.scored.items():
        questions = by_prompt(scored, 1)
        asked += [f"{name} {prompt_id(each.prompt)} {each.row}\n" for each in scored]
        lines += [json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(name, questions)]
        values = per_prompt(questions, dict.fromkeys(scored[0].rewards, 1.0) if scored else {})
        for key in {f"{name}_{key}" for key in values} & metrics.keys():
            if found := interval(values[key.removeprefix(f"{name}_")]):
                intervals[key] = list(found)
    write_whole(run.completions, "".join(lines))
    content = hashlib.sha256("".join(asked).encode()).hexdigest()[:16]
    questions_asked = {"rows": len(asked), "fingerprint": content, "of": "all questions"}
    manifest.note_data(run, {"train": None, "eval": questions_asked})
    return metrics, intervals


def write_evaluation(
    run: Run, config: dict[str, Any], metrics: dict[str, Any], intervals: dict[str, list[float]], seconds: float
) -> None:
    """Write `summary.json`.

    Args:
        run: the evaluation.
        config: resolved.
        metrics, intervals: as `evaluate` returns them.
        seconds: from the start of the worker on.
    """
    name = config["algorithm"]["objective"]
    value = metrics.get(name)
    reason = None
    if value is None:
        reason = f"the evaluation did not measure {name}"
    elif not math.isfinite(value):
        value, reason = None, f"{name} was not a number (NaN or infinite)"
    Summary(
        objective=value,
        no_objective=reason,
        objective_name=name,
        objective_step=0,
        direction=config["algorithm"]["direction"],
        steps=0,
        after=metrics,
        intervals=intervals,
        seconds={"total": round(seconds, 3)},
    ).write(run.summary)


def _add(metrics: dict[str, Any], key: str, values: list[float], *, keeps: bool) -> None:
    """Add the mean over prompts, in the place of TRL's mean of the batches' means unless that is to be kept."""
    if values and not (keeps and metrics.get(key) is not None):
        metrics[key] = math.fsum(values) / len(values)


def _rows(name: str, prompts: list[list[ScoredCompletion]]) -> Iterator[dict[str, Any]]:
    """What `completions.jsonl` has of each prompt."""
    for completions in prompts:
        first = completions[0]
        prompt = named_only(first.prompt)
        yield {
            "set": name,
            "row": first.row,
            "prompt_id": prompt_id(prompt),
            "prompt": prompt,
            "completions": [shown_text(one.completion) for one in completions],
            **measured(completions),
        }


def prompt_id(prompt: Any) -> str:
    """16 digits that are the same wherever the same is asked: of the turns of a conversation but the system's."""
    if isinstance(prompt, list):
        prompt = [turn for turn in prompt if not (isinstance(turn, dict) and turn.get("role") == "system")]
    return hashlib.sha256(prompt_text_of(prompt).encode(errors="surrogateescape")).hexdigest()[:16]
