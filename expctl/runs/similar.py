"""The unfinished run that a new one may have been meant to be: the same experiment but for a few settings."""

import os
from dataclasses import dataclass
from pathlib import Path

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.runs import manifest
from expctl.runs.bundle import changed_files, read_config
from expctl.runs.checkpoints import complete, step_of
from expctl.runs.decisive import decisive_part
from expctl.runs.difference import Difference, differences
from expctl.runs.files import Run
from expctl.runs.records import Manifest

MOST_KEYS = 2
# Among many runs called alike, the latest are looked at.
MOST_LOOKED_AT = 5
MOST_READ = 20


@dataclass(frozen=True)
class SimilarRun:
    """An unfinished run, and how a new one differs from it.

    `step` is that of its last checkpoint, 0 where there is none; `settings` are (key, value, new value); `files` are
    name -> `changed`, `gone` or `new`.
    """

    run: Run
    status: str
    step: int
    settings: list[Difference]
    files: dict[str, str]


def nearest_unfinished(run: Run, experiment: Experiment) -> SimilarRun | None:
    """The interrupted or failed run beside a new one that differs least from it, in at most two settings.

    Another seed is a repetition and never a slip: only runs of the same algorithm, model, dataset and seed count.
    """
    comparisons = [_compare(other, recorded, experiment) for other, recorded in _unfinished(run)]
    similar = [other for other in comparisons if other is not None]
    return min(similar, key=lambda other: len(other.settings) + len(other.files), default=None)


def _unfinished(run: Run) -> list[tuple[Run, Manifest]]:
    """The latest interrupted or failed runs beside `run` with its label and seed, and their manifests."""
    label = run.run_id.rpartition("-")[0] + "-"
    with os.scandir(run.folder.parent) as entries:
        namesakes = [entry for entry in entries if entry.name.startswith(label) and entry.name != run.run_id]
    namesakes.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    unfinished = []
    for entry in namesakes[:MOST_READ]:
        other = Run(Path(entry.path))
        try:
            recorded = manifest.read(other)
        except Refusal:  # a newer expctl has written it
            continue
        if recorded and recorded.status in (manifest.INTERRUPTED, manifest.FAILED):
            unfinished.append((other, recorded))
    return unfinished[:MOST_LOOKED_AT]


def _compare(other: Run, recorded: Manifest, experiment: Experiment) -> SimilarRun | None:
    """How an experiment differs from an unfinished run; None in more than two settings, or where that is damaged."""
    try:
        config = read_config(other)
        settings = differences(decisive_part(config), decisive_part(experiment.config))
        files = changed_files(recorded, experiment)
        if not settings and not files:  # an id of expctl 0.1 followed immaterial settings as well
            settings = differences(config, experiment.config)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    if len(settings) > MOST_KEYS:
        return None
    step = max(map(step_of, complete(other.checkpoints)), default=0)
    return SimilarRun(other, recorded.status, step, settings, files)
