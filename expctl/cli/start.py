"""Claim the run of an experiment, launch it, and say what came of it."""

from pathlib import Path

from expctl.base.experiment import Experiment
from expctl.cli.prepare import acquire, prepare
from expctl.cli.refuse import refuse_as_worker
from expctl.launch.launch import Outcome, launch
from expctl.report.closing import print_closing, print_done_already
from expctl.report.display import Display
from expctl.runs.claim import Claim
from expctl.runs.manifest import REFUSED


def run(experiment: Experiment, folder: Path | None = None) -> Outcome:
    """Check, claim, launch and close one experiment.

    `folder`: where its run is or is to be, when not under its own id in the outputs.
    """
    return _launched(experiment, prepare(experiment, folder))


def run_checked(experiment: Experiment) -> Outcome:
    """As `run`, of an experiment that the check has refused nothing of."""
    return _launched(experiment, acquire(experiment))


def _launched(experiment: Experiment, claimed: Claim | Outcome) -> Outcome:
    if isinstance(claimed, Outcome):
        return claimed
    if claimed.done is not None:
        print_done_already(claimed.run, claimed.done)
        return Outcome.of_completed(claimed.run)
    outcome = launch(claimed, experiment.config, experiment.folder, Display)
    if outcome.status == REFUSED:
        refuse_as_worker(outcome.wrong, experiment.sources, outcome.trace)
        return outcome
    print_closing(claimed.run, outcome.status, outcome.error)
    return outcome
