"""Where config files come from: expctl's own `conf/`, and a user's, which goes first."""

import os
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

ROOT_CONFIG = "expctl"
PACKAGE = Path(__file__).resolve().parent.parent


def own_conf() -> Path:
    """The folder of expctl's config groups: `$EXPCTL_CONF`, the wheel's copy, or the clone's top-level `conf/`.

    Raises:
        FileNotFoundError: none of them holds the root config.
    """
    candidates = [PACKAGE / "conf", PACKAGE.parent / "conf"]
    if chosen := os.environ.get("EXPCTL_CONF"):
        candidates = [Path(chosen).resolve()]
    for folder in candidates:
        if (folder / f"{ROOT_CONFIG}.yaml").is_file():
            return folder
    raise FileNotFoundError(f"expctl's config groups are missing: no {ROOT_CONFIG}.yaml in {candidates}")


def user_conf() -> Path | None:
    """`conf/` of the working folder, when it is not expctl's own."""
    folder = Path.cwd() / "conf"
    return folder if folder.is_dir() and folder.resolve() != own_conf().resolve() else None


class UserConfFirst(SearchPathPlugin):
    """Puts the user's folders before expctl's, so that an option of the same name is the user's.

    Hydra appends `--config-dir`, which would let ours win; `main` hands it over here as well.
    """

    extra: list[Path] = []

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in filter(None, [user_conf(), *self.extra]):
            search_path.prepend("expctl-user", f"file://{folder}")


def search_user_conf(config_dirs: list[str]) -> None:
    """Register the user's folders with Hydra; the last named `--config-dir` wins over all others."""
    UserConfFirst.extra = [Path(folder).resolve() for folder in config_dirs]
    plugins = Plugins.instance()
    if UserConfFirst not in plugins.discover(SearchPathPlugin):
        plugins.register(UserConfFirst)
