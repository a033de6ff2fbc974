"""Saves what a completed run leaves: the model with its card, and `summary.json`, written last."""

import math
from typing import Any

from transformers import Trainer

from expctl.runs.drift import is_timed
from expctl.runs.files import Run, read_metrics, write_whole
from expctl.runs.manifest import recorded
from expctl.runs.phases import PhaseTimes, times_in
from expctl.runs.records import Summary
from expctl.worker.base_model import name_base_model

CARD = """---
library_name: transformers
tags: [expctl, {algorithm}]
---

# {run_id}

Trained with [TRL](https://huggingface.co/docs/trl) by expctl. The same experiment again:

```
{command}
```

| | before | after |
|---|---|---|
{rows}

Started from `{model}`; seed {seed}. Versions: {versions}.
"""


def save_model(trainer: Trainer, run: Run, config: dict[str, Any]) -> None:
    """Write the final weights (or the adapter) and the tokenizer; on every rank, since sharded weights need all."""
    trainer.save_model(str(run.model))
    if trainer.is_world_process_zero():
        name_base_model(run.model, config["model"])


def write_summary(
    trainer: Trainer,
    run: Run,
    config: dict[str, Any],
    before: dict[str, float],
    after: dict[str, float],
    seconds: dict[str, float],
    rest: PhaseTimes,
) -> None:
    """Write the model card, then `summary.json`: the metrics before and after training, and the objective.

    Args:
        trainer: that has ended.
        run: that it was.
        config: resolved.
        before: metrics of the evaluation before training; empty where there was none.
        after: likewise after training.
        seconds: of the start, of the training and in total, the latter two with those of earlier attempts' steps.
        rest: the times of what came after the last row of the metrics.
    """
    steps = trainer.state.global_step
    last, measured_at = _last_measured(run)
    name = config["algorithm"]["objective"]
    if name not in after:
        # Nothing was held out: the training's own metric is the objective, under its own name.
        name = name.removeprefix("eval_")
    _write_card(run, config, before, after)
    objective, no_objective = _objective(name, after, last)
    times = times_in(read_metrics(run.metrics))
    times.add(rest.seconds, rest.tokens)
    summary = Summary(
        objective=objective,
        no_objective=no_objective,
        objective_name=name,
        objective_step=steps if name in after else measured_at.get(name),
        direction=config["algorithm"]["direction"],
        best_step=trainer.state.best_global_step if trainer.args.load_best_model_at_end else None,
        steps=steps,
        before=dict(before),
        after=dict(after),
        train=last,
        train_runtime=train_runtime(trainer),
        seconds={key: round(value, 3) for key, value in (seconds | times.seconds).items()},
        tokens_per_second={key: round(value, 1) for key, value in times.tokens_per_second.items()},
    )
    summary.write(run.summary)


def train_runtime(trainer: Trainer) -> float | None:
    """Seconds in the training loop of this attempt, as the trainer itself measured them."""
    runtimes = [row["train_runtime"] for row in trainer.state.log_history if "train_runtime" in row]
    return runtimes[-1] if runtimes else None


def _objective(name: str, after: dict[str, float], last: dict[str, float | None]) -> tuple[float | None, str | None]:
    """The objective, or else the reason why there is none."""
    value = after.get(name, last.get(name))
    if value is not None and math.isfinite(value):
        return value, None
    if name in after or name in last:
        return None, f"{name} was not a number (NaN or infinite) when it was measured last"
    return None, f"neither the evaluation nor the training logged {name}"


def _last_measured(run: Run) -> tuple[dict[str, float | None], dict[str, int]]:
    """The last value of each metric of the training, and the step of it: not every step logs every metric."""
    last: dict[str, float | None] = {}
    steps: dict[str, int] = {}
    for row in read_metrics(run.metrics):
        if "loss" in row:
            last |= {key: value for key, value in row.items() if key != "step"}
            steps |= dict.fromkeys(row, row["step"])
    return last, steps


def _number(value: float | None) -> str:
    """A metric in the card's table; empty where it was not measured."""
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else "not a number"


def _write_card(run: Run, config: dict[str, Any], before: dict[str, float], after: dict[str, float]) -> None:
    manifest = recorded(run)
    kept = [key for key in after if isinstance(after[key], float) and not is_timed(key)]
    rows = "\n".join(f"| {key} | {_number(before.get(key))} | {_number(after[key])} |" for key in kept)
    versions = ", ".join(f"{name} {number}" for name, number in manifest.versions.items() if number)
    write_whole(
        run.model / "README.md",
        CARD.format(
            algorithm=manifest.choices.get("algorithm", "training"),
            run_id=run.run_id,
            command=manifest.command or "expctl",
            rows=rows,
            model=config["model"].get("run") or config["model"]["path"],
            seed=config["seed"],
            versions=versions,
        ),
    )
