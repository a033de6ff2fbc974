"""`expctl list [GROUP]`: the options of a config group, one line each."""

import re
from pathlib import Path

from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.cli.options import take
from expctl.config.groups import group_options, groups
from expctl.config.locate import own_conf

USAGE = "expctl list [GROUP ...] [--config-dir DIR]"


def main(words: list[str]) -> int:
    """Print the groups, or the options of one with the first sentence of their files."""
    options, named = take(words, valued=("-cd",), listed=("--config-dir",), usage=USAGE)
    folders = [Path(folder) for given in options.values() for folder in given.split(",")]
    for folder in folders:
        if not folder.is_dir():
            raise Refusal(f"no folder '{folder}'", where=f"--config-dir {folder} (command line)")
    for group in named:
        _print_group(group, folders)
    if not named:
        _print_all(folders)
    return 0


def _print_all(folders: list[Path]) -> None:
    print("Groups (expctl list GROUP shows the options):")
    known = groups(folders)
    width = max(map(len, known))
    for group in known:
        print(f"  {group:<{width}}  {', '.join(group_options(group, folders))}")


def _print_group(group: str, folders: list[Path]) -> None:
    options = group_options(group, folders)
    if not options:
        close = nearest(group, groups(folders))
        raise Refusal(f"no group '{group}'", where="command line", nearest=close, do="expctl list")
    width = max(map(len, options)) + 2
    for name, file in options.items():
        own = "" if own_conf() in file.parents else f"  ({file})"
        print(f"{name:<{width}}{_first_sentence(file)}{own}")


def _first_sentence(file: Path) -> str:
    """The comment at the head of a file, up to its first full stop."""
    comment = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    text = " ".join(comment)
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0].rstrip(".") if text else ""
