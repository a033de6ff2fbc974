"""What all launchers of expctl share. They are in `hydra_plugins`, where Hydra looks for them in every command.

So this file imports little. It is kept out of `hydra_plugins`, whose modules Hydra imports twice.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from expctl.sweep.job import SweepJob
    from expctl.sweep.runners import Runner


class SweepLauncher(Launcher):
    """Composes and checks all jobs of a batch, and has a runner run them."""

    # Whether other machines than this one run the jobs.
    runs_remotely = False

    def __init__(self, **settings: Any):
        self.settings = {key: _plain(value) for key, value in settings.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to a launcher; the task function is the command of the sweep."""
        from expctl.sweep.command import SweepCommand
        from expctl.sweep.composer import Composer

        self.context, self.config = hydra_context, config
        self.command = SweepCommand.of(task_function)
        self.composer = Composer(hydra_context.config_loader, config, runs_remotely=self.runs_remotely)

    @abstractmethod
    def runner(self) -> "Runner":
        """What runs the jobs.

        Raises:
            expctl.base.refusal.Refusal: it is not there, or not as the settings say.
        """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run the jobs of a batch, or refuse all of them; the exit code goes to the command."""
        from expctl.sweep.sweep import run_jobs

        runner = self.runner()
        jobs = self.composer.jobs(job_overrides)
        self.command.end(run_jobs(jobs, runner, self.command, self.composer.finished))
        return [returned(job) for job in jobs]


class CheckLauncher(Launcher):
    """Only checks the jobs that another launcher would run: `expctl check -m`."""

    def __init__(self, launcher: SweepLauncher):
        self._launcher = launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing: the launcher that it stands before is set up."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Check the jobs of a batch; the exit code goes to the command."""
        from expctl.sweep.check import check_jobs

        self._launcher.runner()  # refuses a scheduler that is not there
        command = self._launcher.command
        jobs = self._launcher.composer.jobs(job_overrides)
        command.end(check_jobs(jobs, full=command.check == "full"))
        return [returned(job) for job in jobs]


def returned(job: "SweepJob") -> JobReturn:
    """A job's result as Hydra's sweepers take it."""
    from expctl.runs.manifest import COMPLETED

    completed = job.status == COMPLETED
    value = job.objective if completed else RuntimeError(job.error or job.status)
    status = JobStatus.COMPLETED if completed else JobStatus.FAILED
    return JobReturn(overrides=list(job.overrides), status=status, _return_value=value)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
