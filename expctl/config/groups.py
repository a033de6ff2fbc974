"""The config groups and their options, by looking at the folders."""

from pathlib import Path

from expctl.config.locate import own_conf, user_conf


def group_options(group: str) -> dict[str, Path]:
    """Option name -> file, of a config group; a user's option hides ours of the same name."""
    found: dict[str, Path] = {}
    for root in filter(None, [own_conf(), user_conf()]):
        found |= {file.stem: file for file in sorted((root / group).glob("*.yaml")) if not file.stem.startswith("_")}
    return found


def groups() -> list[str]:
    """The config groups: folders of expctl's `conf/` and of the user's that have options."""
    roots = filter(None, [own_conf(), user_conf()])
    return sorted({str(file.parent.relative_to(root)) for root in roots for file in root.glob("*/**/*.yaml")})
