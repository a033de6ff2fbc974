"""The launcher of `expctl -m`: jobs side by side on this machine. Hydra finds launchers in this package only."""

from typing import TYPE_CHECKING

from expctl.sweep.launcher import SweepLauncher

if TYPE_CHECKING:
    from expctl.sweep.runners import Runner


class PoolLauncher(SweepLauncher):
    """Runs jobs on this machine, with the settings of `conf/hydra/launcher/pool.yaml`."""

    def runner(self) -> "Runner":
        from expctl.sweep.runners import LocalRunner

        return LocalRunner(**self.settings)
