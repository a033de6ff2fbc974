"""What an earlier run hands on: its final model, or one of its checkpoints, by a word such as `RUN@best`.

`RUN` alone is the final model, which is the best one where the run loads that at its end (`load_best_model_at_end`).
`@best` is the state with the best objective of all that were evaluated, `@last` the one after the last step,
`@checkpoint-N` the one after step N.
"""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base.plain_data import is_number
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.runs import manifest
from expctl.runs.checkpoints import complete, step_of
from expctl.runs.files import Run, read_metrics
from expctl.runs.find import find
from expctl.runs.records import Manifest, Summary
from expctl.runs.yaml_reading import read_yaml

BEST, LAST = "best", "last"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
# The files of a model folder or a checkpoint that decide what is loaded from it; the others say how it was trained.
ADAPTER = "adapter_config.json"
_LOADED = ("config.json", "generation_config.json", ADAPTER, "merges.txt", "added_tokens.json")
_LOADED_PATTERNS = (
    *("model*.safetensors*", "adapter_model*", "pytorch_model*.bin*"),
    *("tokenizer*", "vocab*", "special_tokens_map.json", "spiece.model"),
    *("chat_template*", "additional_chat_templates/*"),
)


@dataclass(frozen=True)
class HandedOn:
    """Weights of a run.

    Args:
        run: whose weights they are.
        recorded: its manifest.
        which: "" for the final model, else `best`, `last` or `checkpoint-N`, as it was asked for.
        step: the optimizer step after which the weights are these; None where the run does not say.
        folder: where they lie, with their tokenizer.
    """

    run: Run
    recorded: Manifest
    which: str
    step: int | None
    folder: Path

    @property
    def word(self) -> str:
        """`RUN@best`, by the run's id."""
        return f"{self.recorded.run_id}@{self.which}" if self.which else self.recorded.run_id

    @property
    def address(self) -> str:
        """What leads to these weights from the working folder: `word`, or by the run's path where its id does not."""
        try:
            by_id = find(self.recorded.run_id).folder == self.run.folder
        except Refusal:
            by_id = False
        name = self.recorded.run_id if by_id else os.path.relpath(self.run.folder)
        return f"{name}@{self.which}" if self.which else name


def handed_on(word: str) -> HandedOn:
    """The weights that a word names: a run by its id, the beginning of one or a path, and behind an `@` which.

    Raises:
        Refusal: there is no such run, it is not completed, or it does not have these weights (any more).
    """
    name, which = _split(word)
    run = find(name)
    recorded = manifest.read(run) or manifest.recorded(run)
    if recorded.status != manifest.COMPLETED:
        raise Refusal(
            f"the run {run.run_id} is {recorded.status}, and only a completed one hands on its weights",
            where=f"{word} (command line)",
            do=f"expctl resume {run.run_id}, then this again",
        )
    step, folder = _weights(run, which, word)
    return HandedOn(run, recorded, which, step, folder)


def loaded_files(folder: Path) -> list[Path]:
    """The files of a model folder or a checkpoint that decide what is loaded from it, sorted."""
    named = {folder / name for name in _LOADED}
    named |= {file for pattern in _LOADED_PATTERNS for file in folder.glob(pattern)}
    return sorted(file for file in named if file.is_file())


def best_step(run: Run) -> int | None:
    """The step after which a completed run's objective was best, the first of equals; None where it was never measured.

    What the run has recorded counts; of one that loaded no best model at its end, the evaluations do.
    """
    summary = Summary.read(run.summary) or Summary()
    if summary.best_step is not None:
        return summary.best_step
    name, sign = summary.objective_name, -1 if summary.direction == "minimize" else 1
    measured = [
        (sign * row[name], -row["step"])
        for row in read_metrics(run.metrics)
        if name in row and is_number(row[name]) and math.isfinite(row[name]) and row.get("step")
    ]
    is_evaluated = bool(name) and str(name).startswith("eval_")
    return -max(measured)[1] if measured and is_evaluated else None


def step_after(run: Run, folder: Path) -> int | None:
    """The step after which the weights in a folder of a completed run are: of a checkpoint, or of its final model."""
    if folder.parent.name == run.checkpoints.name:
        return step_of(folder)
    return best_step(run) if _loads_best(run) else (Summary.read(run.summary) or Summary()).steps


def _split(word: str) -> tuple[str, str]:
    """`RUN@best` -> `RUN`, `best`. Raises Refusal for any other word behind the last @."""
    name, at, which = word.rpartition("@")
    if not at:
        return word, ""
    if which in (BEST, LAST) or _CHECKPOINT.fullmatch(which):
        return name, which
    raise Refusal(
        f"a run has no '@{which}'",
        where=f"{word} (command line)",
        nearest=[f"{name}@{near}" for near in nearest(which, (BEST, LAST))],
        do=f"{name}@{BEST}, {name}@{LAST}, {name}@checkpoint-N, or {name} alone for its final model",
    )


def _weights(run: Run, which: str, word: str) -> tuple[int | None, Path]:
    """Step and folder of the weights."""
    summary = Summary.read(run.summary) or Summary()
    final = step_after(run, run.model)
    if not which:
        return final, _final(run, word)
    step = _asked_step(run, which, word, summary)
    checkpoint = run.checkpoints / f"checkpoint-{step}"
    if checkpoint in complete(run.checkpoints):
        return step, checkpoint
    if step is not None and step == final:
        return step, _final(run, word)
    raise _gone(run, which, step, word)


def _asked_step(run: Run, which: str, word: str, summary: Summary) -> int | None:
    if which == LAST:
        return summary.steps
    if which != BEST:
        return int(which.rpartition("-")[2])
    step = best_step(run)
    if step is None:
        raise Refusal(
            f"the run {run.run_id} has no best checkpoint: its objective was never evaluated",
            where=f"{word} (command line)",
            do=f"{word.removesuffix('@best')} for its final model",
        )
    return step


def _final(run: Run, word: str) -> Path:
    if loaded_files(run.model):
        return run.model
    raise Refusal(
        f"the run {run.run_id} has no final model any more: {run.model} is empty or gone",
        where=f"{word} (command line)",
        nearest=[f"{run.run_id}@{name}" for name in _kept(run)],
        do=f"expctl rerun {run.run_id} trains it again",
    )


def _gone(run: Run, which: str, step: int | None, word: str) -> Refusal:
    named = f"checkpoint-{step} of {run.run_id}" + (", its best," if which == BEST else "")
    kept = _kept(run)
    return Refusal(
        f"{named} is not there (any more); of its checkpoints it has {', '.join(kept) or 'none'}",
        where=f"{word} (command line)",
        nearest=[f"{run.run_id}@{name}" for name in kept],
        do=f"one of these, or {run.run_id} alone for its final model; args.save_total_limit says how many a run keeps",
    )


def _kept(run: Run) -> list[str]:
    return [path.name for path in sorted(complete(run.checkpoints), key=step_of)]


def _loads_best(run: Run) -> bool:
    """Whether the final model is the best one and not the last one."""
    try:
        config: Any = read_yaml(run.config)
        return bool(config["args"].get("load_best_model_at_end"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
