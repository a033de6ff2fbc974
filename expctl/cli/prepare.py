"""Check an experiment and claim its run, or say why not."""

import sys
from pathlib import Path

from expctl.base.experiment import Experiment
from expctl.base.paths import outputs_root
from expctl.base.refusal import Refusal
from expctl.cli.refuse import refuse
from expctl.config.check import check
from expctl.config.experimental import experimental_notes
from expctl.config.resumable import inexact
from expctl.launch.launch import Outcome, not_begun
from expctl.report.closing import print_closing
from expctl.report.similar_runs import print_similar
from expctl.runs import lock, manifest
from expctl.runs.checkpoints import ForeignCheckpointError
from expctl.runs.claim import Claim, claim
from expctl.runs.identity import run_of
from expctl.runs.similar import nearest_unfinished


def prepare(experiment: Experiment, folder: Path | None = None) -> Claim | Outcome:
    """Check and claim; a refusal is printed and becomes the outcome.

    `folder`: where the run is or is to be, when not under its own id in the outputs.
    """
    refusals = check(experiment)
    return Outcome(refuse(refusals)) if refusals else acquire(experiment, folder)


def acquire(experiment: Experiment, folder: Path | None = None) -> Claim | Outcome:
    """As `prepare`, of an experiment that the check has refused nothing of."""
    try:
        claimed = claim(experiment, folder)
    except lock.LockedError as held:
        where = f"process {held.holder.pid} on {held.holder.host}" if held.holder else "started a moment ago"
        refusal = Refusal("this experiment is running already", where=where, do="wait for it, or change a setting")
    except ForeignCheckpointError as foreign:
        name = folder or run_of(experiment).run_id
        refusal = Refusal(str(foreign), do=f"if you trust who made the run: expctl resume {name} --trust")
    except OSError as error:
        path = error.filename or folder or outputs_root(experiment.folder)  # of a full disk the kernel names no file
        refusal = Refusal(f"the run's folder cannot be written: {error.strerror}", where=str(path))
    else:
        if claimed.new and folder is None and (similar := nearest_unfinished(claimed.run, experiment)):
            print_similar(similar)
        if claimed.done is None:
            return _noted(claimed, experiment.notes + experimental_notes(experiment) + inexact(experiment))
        return claimed
    return Outcome(refuse([refusal]))


def _noted(claimed: Claim, notes: list[str]) -> Claim | Outcome:
    """Say, and keep in the manifest, what gave way, what is experimental and what is not resumed exactly."""
    try:
        manifest.note(claimed.run, "notes", notes)
    except OSError as error:
        outcome = not_begun(claimed, error)
        print_closing(claimed.run, outcome.status, outcome.error)
        return outcome
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return claimed
