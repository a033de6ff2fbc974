"""From which earlier runs a run has started, back to the first."""

import hashlib
import json
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import at, mapping
from expctl.runs import manifest
from expctl.runs.decisive import decisive_part, without_seed
from expctl.runs.files import Run
from expctl.runs.handed_on import step_after
from expctl.runs.provenance_records import Lineage
from expctl.runs.records import Manifest
from expctl.runs.yaml_reading import read_yaml


def lineage_of(experiment: Experiment) -> Lineage | None:
    """The earlier run whose weights an experiment starts from; None of one that starts from none."""
    model = mapping(experiment.config["model"])
    if not model.get("run"):
        return None
    run_id, _, which = str(model["run"]).partition("@")
    folder = run_of_weights(experiment.folder / str(model["path"]))
    earlier = Run(folder)
    recorded = manifest.recorded(earlier)
    return Lineage(
        run_id=run_id,
        folder=str(folder),
        config_hash=recorded.config_hash,
        which=which,
        step=step_after(earlier, experiment.folder / str(model["path"])),
        recipe=_recipe(earlier, which),
    )


def without_seeds(lineage: Lineage) -> str:
    """What a run has started from as its repetitions share it: `sft-tiny-arithmetic@best 1a2b3c4d`."""
    label = lineage.run_id.rsplit("-", 2)[0]
    which = f"@{lineage.which}" if lineage.which else ""
    return f"{label}{which} {(lineage.recipe or lineage.run_id)[:8]}"


def is_of_lineage(recorded: Manifest, name: str) -> bool:
    """Whether an input of a run is a file of the earlier run that it has started from.

    `name`: as `inputs` of the manifest has it.
    """
    if recorded.lineage is None or recorded.lineage.folder is None:
        return False
    return (Path(recorded.folder or ".") / name).is_relative_to(recorded.lineage.folder)


def run_of_weights(weights: Path) -> Path:
    """The folder of the run that a folder with weights lies in: `RUN/model` or `RUN/checkpoints/checkpoint-N`."""
    weights = weights.absolute()
    return weights.parent.parent if weights.parent.name == "checkpoints" else weights.parent


def ancestors(run: Run) -> list[Lineage]:
    """The earlier runs of a run, the latest first, as far as they are still there."""
    found: list[Lineage] = []
    lineage = manifest.recorded(run).lineage
    while lineage is not None and lineage not in found:
        found.append(lineage)
        lineage = manifest.recorded(Run(Path(lineage.folder))).lineage if lineage.folder else None
    return found


def first_model(run: Run) -> str:
    """`model.path` of the first of the runs that a run goes back to: a hub's id, an embedded model, a folder."""
    folders = [Path(each.folder) for each in ancestors(run) if each.folder]
    first = next((Run(folder) for folder in reversed(folders) if (folder / "config.yaml").is_file()), run)
    config: Any = read_yaml(first.config)
    return str(at(config, "model", "path"))


def _recipe(earlier: Run, which: str) -> str | None:
    """What the earlier run was asked for, by all runs before it, without seeds; None where its config is damaged."""
    try:
        config: Any = read_yaml(earlier.config)
        asked = without_seed(decisive_part(config), config.get("seed"))
    except (OSError, ValueError, AttributeError):
        return None
    before = manifest.recorded(earlier).lineage
    parts = [asked, which, before.recipe if before else None]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
