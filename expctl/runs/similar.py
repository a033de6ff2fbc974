"""The unfinished run that a new one may have been meant to be: the same experiment but for a few settings."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.runs import manifest
from expctl.runs.bundle import changed_files, read_config
from expctl.runs.checkpoints import complete, step_of
from expctl.runs.decisive import decisive_part
from expctl.runs.difference import differences
from expctl.runs.files import Run
from expctl.runs.records import Manifest

MOST_KEYS = 2
# Among many runs called alike, the latest are looked at.
MOST_LOOKED_AT = 5
MOST_READ = 20


@dataclass(frozen=True)
class SimilarRun:
    """An unfinished run, the step of its last checkpoint, and how it differs: settings as (key, its value, the new
    one), files as name -> `changed`, `gone` or `new`."""

    run: Run
    status: str
    step: int
    settings: list[tuple[str, Any, Any]]
    files: dict[str, str]


def nearest_unfinished(run: Run, experiment: Experiment) -> SimilarRun | None:
    """The interrupted or failed run beside a new one that differs least from it, in at most two settings.

    Another seed is a repetition and never a slip: only runs of the same algorithm, model, dataset and seed count.
    """
    found = [_compare(other, told, experiment) for other, told in _unfinished(run)]
    near = [kin for kin in found if kin and len(kin.settings) <= MOST_KEYS]
    return min(near, key=lambda kin: len(kin.settings) + len(kin.files), default=None)


def _unfinished(run: Run) -> list[tuple[Run, Manifest]]:
    """The latest interrupted or failed runs beside `run` with its label and seed, and their manifests."""
    label = run.run_id.rpartition("-")[0] + "-"
    with os.scandir(run.folder.parent) as entries:
        alike = [entry for entry in entries if entry.name.startswith(label) and entry.name != run.run_id]
    alike.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    found = []
    for entry in alike[:MOST_READ]:
        other = Run(Path(entry.path))
        told = manifest.read(other)
        if told and told.status in (manifest.INTERRUPTED, manifest.FAILED):
            found.append((other, told))
    return found[:MOST_LOOKED_AT]


def _compare(other: Run, told: Manifest, experiment: Experiment) -> SimilarRun | None:
    try:
        settings = differences(decisive_part(read_config(other)), decisive_part(experiment.config))
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # its files are damaged: nothing that could be carried on
    step = max(map(step_of, complete(other.checkpoints)), default=0)
    return SimilarRun(other, told.status, step, settings, changed_files(told, experiment))
