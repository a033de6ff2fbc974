"""The launchers of jobs that run on other machines: thin, around those of submitit's and Ray's own plug-ins."""

from typing import TYPE_CHECKING

from expctl.sweep.launcher import SweepLauncher

if TYPE_CHECKING:
    from expctl.sweep.runners import Runner


class SlurmLauncher(SweepLauncher):
    """Makes jobs of Slurm of those that are not completed."""

    runs_remotely = True

    def runner(self) -> "Runner":
        from expctl.sweep.runners import SchedulerRunner
        from expctl.sweep.slurm import Slurm

        return SchedulerRunner(lambda: Slurm(self.settings, self.command.task, self.context, self.config))


class RayLauncher(SweepLauncher):
    """Makes tasks of Ray of those that are not completed."""

    runs_remotely = True

    def runner(self) -> "Runner":
        from expctl.sweep.on_ray import Ray
        from expctl.sweep.runners import SchedulerRunner

        return SchedulerRunner(lambda: Ray(self.settings, self.command.task, self.context, self.config))
