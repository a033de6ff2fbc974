"""The config groups and their options: the folders and files of `conf/`."""

from collections.abc import Sequence
from pathlib import Path

from expctl.config.locate import own_conf, user_conf


def group_options(group: str, config_dirs: Sequence[Path] = ()) -> dict[str, Path]:
    """Option name -> file, of a config group; a user's option replaces ours of the same name.

    `config_dirs`: the folders of --config-dir, of which the last takes precedence.
    """
    options: dict[str, Path] = {}
    for root in _roots(config_dirs):
        options |= {file.stem: file for file in sorted((root / group).glob("*.yaml")) if not file.stem.startswith("_")}
    return options


def algorithm_file(name: str, config_dirs: Sequence[Path] = ()) -> Path | None:
    """The file of an option of the group `algorithm`, or of one that others build on (`_base`); None where none is."""
    files = [root / "algorithm" / f"{name}.yaml" for root in reversed(_roots(config_dirs))]
    return next((file for file in files if file.is_file()), None)


def groups(config_dirs: Sequence[Path] = ()) -> list[str]:
    """The config groups: the folders of `conf/`, expctl's and the user's, that hold options."""
    folders = {file.parent.relative_to(root) for root in _roots(config_dirs) for file in root.glob("*/**/*.yaml")}
    return sorted(map(str, folders))


def _roots(config_dirs: Sequence[Path]) -> list[Path]:
    return [root for root in (own_conf(), user_conf(), *config_dirs) if root is not None]
