"""What a job of a scheduler does: train its experiment, as it was checked where it was submitted."""

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig

from expctl.base.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from expctl.base.experiment import Experiment
from expctl.cli.group import take_part
from expctl.cli.start import run
from expctl.launch.launched import group_of_this_process
from expctl.runs import manifest
from expctl.runs.claim import leave_refused
from expctl.runs.files import Run
from expctl.runs.identity import run_of
from expctl.runs.manifest import REFUSED
from expctl.sweep.submission import ForeignSubmissionError, read


@dataclass(frozen=True)
class SchedulerTask:
    """The task function that Hydra's launchers carry to another machine. `folder` is that of the submission."""

    folder: Path

    def __call__(self, composed: object) -> float | None:
        """Train the job's experiment, or join the processes that do; its objective. What Hydra composed is not read."""
        number = job_number()
        try:
            experiment, expected = read(self.folder, number)
        except ForeignSubmissionError as error:
            print(f"expctl: {error}; it is not executed", file=sys.stderr)
            return None
        os.chdir(experiment.folder)
        sys.path.insert(0, str(experiment.folder))
        if run_of(experiment).run_id != expected:
            print(f"expctl: code, data or weights of {expected} have changed since it was submitted", file=sys.stderr)
            return None
        begun = self.folder / f"{number}.begun"
        put_back = signal.getsignal(signal.SIGUSR2)
        group = group_of_this_process()
        if group is not None:
            take_part(
                group,
                lambda: forced_once(experiment, begun),
                leave=lambda run, code: _leave(run, code, put_back),
            )
            experiment = replace(experiment, in_group=True)
        outcome = run(forced_once(experiment, begun))
        if outcome.exit_code == EXIT_INTERRUPTED:
            _interrupted(run_of(experiment), put_back)
        if outcome.status == REFUSED:
            leave_refused(forced_once(experiment, begun), f"refused: {outcome.error}")
        return outcome.objective


def job_number() -> int:
    """The number of this job in its submission."""
    return HydraConfig.get().job.num


def forced_once(experiment: Experiment, mark: Path) -> Experiment:
    """The experiment with `force=true` only the first time: put back into the queue, a job resumes its run.

    `mark`: the file that the first time leaves.
    """
    if mark.exists():
        return experiment.unforced()
    mark.touch()
    return experiment


def _leave(run: Run, code: int, put_back: Any) -> NoReturn:
    try:
        if code == EXIT_INTERRUPTED:
            _interrupted(run, put_back)
    finally:
        os._exit(code if code != EXIT_INTERRUPTED else EXIT_FAILED)


def _interrupted(run: Run, put_back: Any) -> None:
    """End a job whose run is saved. After USR1 or USR2 it goes back into the queue, by submitit's own handler.

    With SIGTERM Slurm ends a job itself. It alone knows whether that is a preemption, after which it puts the job back,
    or a cancellation; a job that left by itself would be neither. So this waits for Slurm.
    """
    attempts = manifest.recorded(run).attempts
    received = attempts[-1].signal if attempts else None
    if "SLURM_JOB_ID" not in os.environ:
        return
    if received == "SIGTERM":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            signal.pause()
    if callable(put_back):
        put_back(signal.SIGUSR2, None)
