"""Make an experiment's run one's own: a new one, one to carry on, or one that is done already."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from expctl.config.experiment import Experiment
from expctl.places import outputs_root
from expctl.runs import lock, manifest
from expctl.runs.bundle import describe
from expctl.runs.checkpoints import last_complete, step_of
from expctl.runs.files import Run
from expctl.runs.identity import config_hash, run_id


@dataclass
class Claim:
    """A run and what is to be done with it. `held` keeps the lock; `new`: there was none before; `done` is the manifest
    of a completed run."""

    run: Run
    held: IO[str] | None = None
    new: bool = False
    done: dict[str, Any] | None = None
    checkpoint: Path | None = None

    @property
    def from_step(self) -> int:
        return step_of(self.checkpoint) if self.checkpoint else 0


def claim(experiment: Experiment, folder: Path | None = None) -> Claim:
    """Create the run's folder, or take over the one that the same experiment left.

    `folder`: where the run is or is to be, when not under its own id in the outputs.

    Raises:
        expctl.runs.lock.LockedError: the run is alive elsewhere.
        OSError: the folder cannot be written.
    """
    hashed = config_hash(experiment)
    run = Run(folder or outputs_root(experiment.folder) / run_id(experiment, hashed))
    found = manifest.read(run) if run.folder.is_dir() else None
    if found and found["status"] == manifest.COMPLETED and not experiment.config["force"]:
        return Claim(run, done=found)
    run.folder.mkdir(parents=True, exist_ok=True)
    held = lock.take(run.lock)
    if found and experiment.config["force"]:
        held.close()
        _set_aside(run)
        run.folder.mkdir(parents=True)
        held = lock.take(run.lock)
        found = None
    if not found:
        describe(run, experiment, hashed)
    checkpoint = last_complete(run.checkpoints)
    return Claim(run, held=held, new=not found, checkpoint=checkpoint)


def _set_aside(run: Run) -> None:
    """Move an earlier attempt to `outputs/replaced/`, under the first free number."""
    replaced = run.folder.parent / "replaced"
    replaced.mkdir(exist_ok=True)
    number = 1
    while (replaced / f"{run.run_id}-{number}").exists():
        number += 1
    run.folder.rename(replaced / f"{run.run_id}-{number}")
