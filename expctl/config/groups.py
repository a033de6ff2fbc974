"""The config groups and their options, by looking at the folders."""

from collections.abc import Sequence
from pathlib import Path

from expctl.config.locate import own_conf, user_conf


def group_options(group: str, config_dirs: Sequence[Path] = ()) -> dict[str, Path]:
    """Option name -> file, of a config group; a user's option hides ours of the same name.

    `config_dirs`: folders of groups that --config-dir names, the last one winning.
    """
    found: dict[str, Path] = {}
    for root in _roots(config_dirs):
        found |= {file.stem: file for file in sorted((root / group).glob("*.yaml")) if not file.stem.startswith("_")}
    return found


def groups(config_dirs: Sequence[Path] = ()) -> list[str]:
    """The config groups: folders of expctl's `conf/` and of the user's that have options."""
    found = {file.parent.relative_to(root) for root in _roots(config_dirs) for file in root.glob("*/**/*.yaml")}
    return sorted(map(str, found))


def _roots(config_dirs: Sequence[Path]) -> list[Path]:
    return [root for root in (own_conf(), user_conf(), *config_dirs) if root is not None]
