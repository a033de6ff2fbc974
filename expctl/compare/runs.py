"""A run's folder as a comparison needs it; one that cannot be read says why."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from expctl.base.plain_data import at, leaves, mapping, sequence, text, texts
from expctl.runs import manifest
from expctl.runs.alerts import Alert, alerts_of
from expctl.runs.bundle import read_config
from expctl.runs.files import Run, read_json, read_metrics
from expctl.runs.identity import deciding

Measured = dict[str, float | None]


class UnreadableRunError(Exception):
    """What a run's folder holds cannot be compared; the text says why, without the folder's name."""


@dataclass(frozen=True)
class Record:
    """One run, read.

    `config` is what can change the result, flat (`args.learning_rate`); `before` and `after` are the evaluations of
    summary.json, `train` its last logged training step, `seconds` its times, each None where it is no finite number.
    `data` and `devices` are None where an older run did not record them.
    """

    run: Run
    told: dict[str, Any]
    config: dict[str, Any]
    seed: int | None
    objective: str | None
    direction: str | None
    steps: int | None
    before: Measured
    after: Measured
    train: Measured
    seconds: Measured

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def folder(self) -> Path:
        return self.run.folder

    @property
    def status(self) -> str:
        return self.told["status"]

    @property
    def choices(self) -> dict[str, str]:
        """Config group -> the chosen option."""
        return texts(self.told.get("choices"))

    @property
    def overrides(self) -> list[str]:
        """What was typed."""
        return [word for word in sequence(self.told.get("overrides")) if isinstance(word, str)]

    @property
    def command(self) -> str:
        return text(self.told.get("command")) or "expctl"

    @property
    def versions(self) -> dict[str, str | None]:
        return texts(self.told.get("versions"))

    @property
    def devices(self) -> dict[str, Any] | None:
        return mapping(self.told.get("devices")) or None

    @property
    def code(self) -> dict[str, str]:
        """File -> digest of the user's own code."""
        return texts(self.told.get("sources"))

    @property
    def inputs(self) -> dict[str, str]:
        """File -> digest of local data and weights."""
        return texts(self.told.get("inputs"))

    @property
    def data(self) -> dict[str, Any] | None:
        splits = mapping(self.told.get("data")).items()
        return {name: split for name, split in splits if isinstance(split, dict)} or None

    @property
    def warnings(self) -> list[str]:
        """What the run itself warned of."""
        told = [*sequence(self.told.get("data_changed")), *sequence(self.told.get("warnings"))]
        return [word for word in told if isinstance(word, str)]

    @property
    def alerts(self) -> list[Alert]:
        """What its training said of itself while it ran."""
        return alerts_of(self.told)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """`metrics.jsonl`: a row a logging step, and each evaluation."""
        return read_metrics(self.run.metrics)


def read(folder: Path) -> Record:
    """The run of a folder, whatever its status; only a completed one has a summary.

    Raises:
        UnreadableRunError: a file is missing, damaged, or says something else than a run does.
    """
    run = Run(folder)
    told = manifest.read(run)
    if told is None:
        raise UnreadableRunError("its run.json cannot be read")
    try:
        config = read_config(run)
    except (OSError, ValueError):
        config = None
    groups = [config.get("args"), config.get("hardware") or {}] if isinstance(config, dict) else [None]
    if not all(isinstance(group, dict) for group in groups):
        raise UnreadableRunError("its config.yaml cannot be read")
    completed = told["status"] == manifest.COMPLETED
    summary = read_json(run.summary) if completed else {}
    if not isinstance(summary, dict) or (completed and not isinstance(summary.get("after", {}), dict)):
        raise UnreadableRunError("it is completed, but its summary.json cannot be read")
    seed, steps = config.get("seed"), summary.get("steps")
    return Record(
        run=run,
        told=told,
        config=dict(leaves(deciding(config))),
        seed=seed if isinstance(seed, int) else None,
        objective=text(summary.get("objective_name")) or text(at(config, "algorithm", "objective")),
        direction=text(summary.get("direction")) or text(at(config, "algorithm", "direction")),
        steps=steps if isinstance(steps, int) else None,
        before=numbers(summary.get("before")),
        after=numbers(summary.get("after")),
        train=numbers(summary.get("train")),
        seconds=numbers(summary.get("seconds")),
    )


def numbers(found: Any) -> Measured:
    """The numbers of a mapping; one that is not finite, or was written as null because it was not, is None."""
    return {
        str(name): float(value) if isinstance(value, int | float) and math.isfinite(value) else None
        for name, value in mapping(found).items()
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    }

