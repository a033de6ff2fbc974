"""`expctl [overrides]`: check, claim, launch, and say what came of it."""

import os
from pathlib import Path

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.parent_death import exit_with_parent
from expctl.cli.group import join_group
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.prepare import prepare
from expctl.cli.refuse import refuse_as_worker
from expctl.launch.launch import Outcome, launch
from expctl.launch.launched import group_of_this_process, launched_alone
from expctl.report.closing import print_closing, print_done_already
from expctl.report.display import Display
from expctl.runs.manifest import REFUSED


def main(words: list[str]) -> int:
    """Run one experiment, or a sweep; the exit code."""
    group = group_of_this_process()
    if group is not None:
        return join_group(group, words)
    if launched_alone():
        # Such a launcher dies of SIGTERM without handing it on.
        exit_with_parent(os.getppid())()
    if is_multirun(words):
        from expctl.cli.sweep import sweep

        return sweep(words)
    experiment = compose(words)
    return run(experiment).exit_code if experiment else EXIT_COMPLETED


def run(experiment: Experiment, folder: Path | None = None) -> Outcome:
    """Check, claim, launch and close one experiment.

    `folder`: where its run is or is to be, when not under its own id in the outputs.
    """
    claimed = prepare(experiment, folder)
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
