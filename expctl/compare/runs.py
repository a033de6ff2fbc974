"""A run's folder as a comparison needs it; one that cannot be read says why."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from expctl.base.plain_data import at, leaves, mapping, number, text
from expctl.base.refusal import Refusal
from expctl.runs import manifest
from expctl.runs.bundle import read_config
from expctl.runs.decisive import decisive_part
from expctl.runs.files import Run, read_metrics
from expctl.runs.lineage import is_of_lineage, without_seeds
from expctl.runs.provenance_records import Devices
from expctl.runs.records import Alert, Manifest, Summary

Measured = dict[str, float | None]


class UnreadableRunError(Exception):
    """What a run's folder holds cannot be compared; the text says why, without the folder's name."""


@dataclass(frozen=True)
class Record:
    """One run, read.

    `config` is what can change the result, flat (`args.learning_rate`); `before` and `after` are the evaluations of
    summary.json, `train` its last logged training step, `seconds` its times, `tokens_per_second` its rates by
    phase; each value is None where it is no finite number.
    `data` and `devices` are None where an older run did not record them.
    """

    run: Run
    manifest: Manifest
    config: dict[str, Any]
    seed: int | None
    objective: str | None
    direction: str | None
    steps: int | None
    before: Measured
    after: Measured
    train: Measured
    seconds: Measured
    tokens_per_second: Measured = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """The name of the run's folder."""
        return self.run.run_id

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.run.folder

    @property
    def status(self) -> str:
        """As `expctl.runs.manifest` says it now."""
        return self.manifest.status

    @property
    def choices(self) -> dict[str, str]:
        """Config group -> the chosen option."""
        return self.manifest.choices

    @property
    def overrides(self) -> list[str]:
        """What was typed."""
        return self.manifest.overrides

    @property
    def command(self) -> str:
        """What a person types to have this run."""
        return self.manifest.command or "expctl"

    @property
    def versions(self) -> dict[str, str | None]:
        """Package -> version, None where it was not installed."""
        return self.manifest.versions

    @property
    def devices(self) -> Devices | None:
        """The machine that the run was created on, where it was recorded."""
        return self.manifest.devices

    @property
    def code(self) -> dict[str, str]:
        """File -> digest of the user's own code."""
        return self.manifest.sources or {}

    @property
    def inputs(self) -> dict[str, str]:
        """File -> digest of local data and weights; those of an earlier run count in `config`, without its seed."""
        named = self.manifest.inputs or {}
        return {name: digest for name, digest in named.items() if not is_of_lineage(self.manifest, name)}

    @property
    def data(self) -> dict[str, Any] | None:
        """Split (`train`, `eval`) -> its rows, columns and fingerprint, where they were recorded."""
        splits = (self.manifest.data or {}).items()
        return {name: split for name, split in splits if isinstance(split, dict)} or None

    @property
    def warnings(self) -> list[str]:
        """What the run itself warned of."""
        return [*self.manifest.data_changed, *self.manifest.warnings]

    @property
    def alerts(self) -> list[Alert]:
        """What its training said of itself while it ran."""
        return self.manifest.alerts

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
    try:
        recorded = manifest.read(run)
        completed = recorded is not None and recorded.status == manifest.COMPLETED
        summary = Summary.read(run.summary) if completed else Summary()
    except Refusal as newer:
        raise UnreadableRunError(newer.what) from newer
    if recorded is None:
        raise UnreadableRunError("its run.json cannot be read")
    config = _config(run)
    if summary is None or "after" in summary.damaged:
        raise UnreadableRunError("it is completed, but its summary.json cannot be read")
    seed = config.get("seed")
    return Record(
        run=run,
        manifest=recorded,
        config=dict(leaves(decisive_part(config))) | _started_from(recorded),
        seed=seed if isinstance(seed, int) else None,
        objective=summary.objective_name or text(at(config, "algorithm", "objective")),
        direction=summary.direction or text(at(config, "algorithm", "direction")),
        steps=summary.steps,
        before=numbers(summary.before),
        after=numbers(summary.after),
        train=numbers(summary.train),
        seconds=numbers(summary.seconds),
        tokens_per_second=numbers(summary.tokens_per_second),
    )


def _started_from(recorded: Manifest) -> dict[str, Any]:
    return {"model.run": without_seeds(recorded.lineage)} if recorded.lineage else {}


def _config(run: Run) -> dict[str, Any]:
    """The run's config. Raises UnreadableRunError where it is none."""
    try:
        config = mapping(read_config(run))
    except (OSError, ValueError):
        config = {}
    if not isinstance(config.get("args"), dict) or not isinstance(config.get("hardware") or {}, dict):
        raise UnreadableRunError("its config.yaml cannot be read")
    return config


def numbers(measured: Any) -> Measured:
    """The numbers of a mapping; one that is not finite, or was written as null because it was not, is None."""
    finite: Measured = {}
    for name, value in mapping(measured).items():
        known = number(value)
        if value is None or known is not None:
            finite[str(name)] = float(known) if known is not None and math.isfinite(known) else None
    return finite
