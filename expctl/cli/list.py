"""`expctl list [GROUP]`: the options of a config group, one line each."""

import re
from pathlib import Path

from expctl.config.groups import group_options, groups
from expctl.config.locate import own_conf
from expctl.config.refusal import Refusal
from expctl.config.suggest import nearest


def main(words: list[str]) -> int:
    """Print the groups, or the options of one with the first sentence of their files."""
    if not words or words[0] in ("-h", "--help"):
        print("Groups (expctl list GROUP shows the options):")
        width = max(map(len, groups()))
        for group in groups():
            print(f"  {group:<{width}}  {', '.join(group_options(group))}")
        return 0
    for group in words:
        options = group_options(group)
        if not options:
            raise Refusal(
                f"no group '{group}'", where="command line", nearest=nearest(group, groups()), do="expctl list"
            )
        width = max(map(len, options)) + 2
        for name, file in options.items():
            own = "" if own_conf() in file.parents else f"  ({file})"
            print(f"{name:<{width}}{_first_sentence(file)}{own}")
    return 0


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
