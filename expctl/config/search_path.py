"""A user's config folders go before expctl's own."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from expctl.config.locate import user_conf
from expctl.config.run_as_model import search_runs


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
    plugins = Plugins.instance()
    if UserConfFirst not in plugins.discover(SearchPathPlugin):
        plugins.register(UserConfFirst)
