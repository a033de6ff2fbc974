"""`expctl [overrides]`: check, claim, launch, and say what came of it.

Each step is imported when its turn comes: a refusal does not wait for what would have come after it.
"""

import os

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.parent_death import exit_with_parent
from expctl.cli.hydra_app import compose, is_multirun
from expctl.launch.launched import group_of_this_process, launched_alone


def main(words: list[str]) -> int:
    """Run one experiment, or a sweep; the exit code."""
    group = group_of_this_process()
    if group is not None:
        from expctl.cli.group import join_group

        return join_group(group, words)
    if launched_alone():
        # Such a launcher dies of SIGTERM without handing it on.
        exit_with_parent(os.getppid())()
    if is_multirun(words):
        from expctl.cli.sweep import sweep

        return sweep(words)
    experiment = compose(words)
    if experiment is None:
        return EXIT_COMPLETED
    from expctl.config.check import check

    refusals = check(experiment)
    if refusals:
        from expctl.cli.refuse import refuse

        return refuse(refusals)
    from expctl.cli.start import run_checked

    return run_checked(experiment).exit_code
