"""A user's config folders go before expctl's own."""

import sys
from functools import cache
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from expctl.config.locate import user_conf
from expctl.config.run_as_model import search_runs

# Its launchers are refused, and their schema of AWS would be read for 30 ms in every command; the one that is called
# where `hydra/launcher=ray` is typed is imported then.
NOT_SCANNED = tuple(f"hydra_plugins.hydra_ray_launcher.{name}" for name in ("ray_launcher", "ray_aws_launcher"))


class UserConfFirst(SearchPathPlugin):
    """Puts the user's folders before expctl's, so that an option of the same name is the user's.

    Hydra appends `--config-dir`, which would let ours win; `main` hands it over here as well.
    """

    extra: list[Path] = []

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Put the folders before all others; Hydra calls this for each composition."""
        search_path.prepend("expctl-runs", search_runs())
        for folder in filter(None, [user_conf(), *self.extra]):
            search_path.prepend("expctl-user", f"file://{folder}")


def search_user_conf(config_dirs: list[str]) -> None:
    """Register the user's folders with Hydra; the last named `--config-dir` wins over all others."""
    UserConfFirst.extra = [Path(folder).resolve() for folder in config_dirs]
    _register_plugins()


@cache
def _register_plugins() -> None:
    """Once a process: have Hydra look for plug-ins, those of Ray left out, and take ours besides."""
    left_out = [name for name in NOT_SCANNED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(left_out))  # type: ignore[arg-type]  # None is what Hydra passes over
    try:
        plugins = Plugins.instance()
    finally:
        for name in left_out:
            del sys.modules[name]
    plugins.register(UserConfFirst)
