"""What a tracker is told of a run besides its metrics: the group of its settings, its kind, its tags."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from expctl.base.paths import outputs_of
from expctl.runs.decisive import normal_form, without_seed
from expctl.runs.files import Run
from expctl.runs.ledger import cells_of
from expctl.runs.manifest import recorded
from expctl.runs.records import Manifest

LONGEST_TAG = 64  # of Weights & Biases


@dataclass(frozen=True)
class Tracked:
    """`run_id` is another one for a run that force=true has begun anew: a tracker goes on with an id that it knows.

    `group` is the same for the seeds of the same settings; `chosen`: algorithm, model and dataset.
    """

    name: str
    run_id: str
    group: str
    job_type: str
    chosen: dict[str, str]
    sweeps: list[str]

    @property
    def tags(self) -> list[str]:
        """The chosen options and the sweeps, cut at what a tracker takes."""
        return [tag[:LONGEST_TAG] for tag in dict.fromkeys([*self.chosen.values(), *self.sweeps])]


def tracked(run: Run, config: dict[str, Any]) -> Tracked:
    """What to call a run that has been described (see `expctl.runs.bundle`)."""
    manifest = recorded(run)
    choices = manifest.choices
    chosen = {group: choices[group] for group in ("algorithm", "model", "dataset") if choices.get(group)}
    stem = run.run_id.rpartition("-s")[0] or run.run_id
    group = f"{stem}-{_settings_hash(config, manifest)[:8]}"
    run_id = f"{run.run_id}-forced{manifest.forced}" if manifest.forced else run.run_id
    job_type = choices.get("algorithm", "training")
    return Tracked(config["name"] or run.run_id, run_id, group, job_type, chosen, sweeps_of(run))


def sweeps_of(run: Run) -> list[str]:
    """The ids of the sweeps that have the run as a cell."""
    ledgers = sorted((outputs_of(run.folder) / "sweeps").glob("*.json"))
    return [file.stem for file in ledgers if any(cell.run_id == run.run_id for cell in cells_of(file))]


def _settings_hash(config: dict[str, Any], manifest: Manifest) -> str:
    """Hex SHA-256 of what decides a result, the user's code and data included, except for the seed."""
    parts = [without_seed(normal_form(config), config["seed"]), manifest.sources, manifest.inputs]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
