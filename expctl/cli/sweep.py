"""`expctl -m` and `expctl check -m`: hand the sweep to Hydra, whose launchers and sweepers are ours."""

import shlex
from typing import Literal

from expctl.cli.hydra_app import run_hydra
from expctl.cli.scheduler_task import SchedulerTask
from expctl.report.search_closing import print_search
from expctl.report.sweep_closing import print_results
from expctl.report.sweep_display import SweepDisplay
from expctl.sweep.command import SweepCommand


def sweep(words: list[str], check: Literal["quick", "full"] | None = None) -> int:
    """Run the jobs that the words describe, or only check them; the exit code."""
    command = SweepCommand(
        typed=shlex.join(["expctl", *words]),
        display=SweepDisplay,
        print_results=print_results,
        print_search=print_search,
        task=SchedulerTask,
        check=check,
    )
    run_hydra(words, command)
    return command.code
