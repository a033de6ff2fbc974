"""`expctl [overrides]`: check, claim, launch, and say what came of it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.cli.group import group_of_this_process, join_group, launched_alone
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.prepare import prepare
from expctl.config.experiment import Experiment
from expctl.launch.launch import EXIT_COMPLETED, Outcome, launch
from expctl.processes import hear_of_death
from expctl.report.closing import print_closing, print_done_already


@dataclass
class _Exit:
    code: int = EXIT_COMPLETED


def main(words: list[str]) -> int:
    """Run one experiment, or a sweep; the exit code."""
    group = group_of_this_process()
    if group is not None:
        return join_group(group, words)
    if launched_alone():
        # Such a launcher dies of SIGTERM without handing it on.
        hear_of_death(os.getppid())()
    worst = _Exit()

    def verb(experiment: Experiment) -> Any:
        outcome = run(experiment, alone=not is_multirun(words))
        worst.code = worst.code or outcome.exit_code
        return outcome.objective

    compose(words, verb)
    return worst.code


def run(experiment: Experiment, folder: Path | None = None, *, alone: bool = True) -> Outcome:
    """One experiment through the whole house.

    `folder`: where its run is or is to be, when not under its own id in the outputs. `alone`: it is no cell of a sweep.
    """
    claimed = prepare(experiment, folder, alone=alone)
    if isinstance(claimed, Outcome):
        return claimed
    if claimed.done is not None:
        print_done_already(claimed.run, claimed.done)
        return Outcome.of_completed(claimed.run)
    outcome = launch(claimed, experiment.config, experiment.folder)
    print_closing(claimed.run, outcome.status, outcome.error)
    return outcome
