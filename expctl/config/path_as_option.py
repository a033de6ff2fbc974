"""A path or a hub id where the name of an option belongs: `model=Qwen/Qwen3-0.6B`, `dataset=data/rows.jsonl`."""

from pathlib import Path

import yaml

from expctl.base.plain_data import at
from expctl.base.refusal import Refusal
from expctl.config.groups import group_options

# Group -> the option that takes a path.
TAKES_PATHS = {"model": "local", "dataset": "files"}
# That of `dataset` for what is no file here.
HUB = "hub"


def path_as_option(group: str, option: str, typed: list[str]) -> Refusal | None:
    """The refusal that says how to give a path to `model` or `dataset`; None for another group, or no path.

    Args:
        group, option: as Hydra splits the word: `model/Qwen` and `Qwen3-0.6B`.
        typed: the words of the command line.
    """
    root, _, above = group.partition("/")
    if root not in TAKES_PATHS or not above:
        return None
    path = f"{above}/{option}"
    word = f"{root}={path}"
    takes = TAKES_PATHS[root]
    if root == "dataset" and not Path(path).exists() and path.count("/") == 1:
        takes = HUB
    named = _option_of(root, path)
    do = f"{root}={named}, which is this one" if named else f"{root}={takes} {root}.path={path}"
    return Refusal(
        f"'{path}' is no option of the group '{root}' but a path or a hub id",
        where=f"{word} (command line)" if word in typed else word,
        do=do,
    )


def _option_of(group: str, path: str) -> str | None:
    """The option whose file names this path."""
    for name, file in group_options(group).items():
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        if path in (at(values, "path"), at(values, group, "path")):
            return name
    return None
