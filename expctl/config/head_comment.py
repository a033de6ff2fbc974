"""The comment at the head of a config file, which says what an option is."""

import re
from pathlib import Path


def head_comment(file: Path) -> str:
    """The comment on one line, without Hydra's `@package`; empty where the file begins with something else."""
    comment = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return " ".join(comment)


def first_sentence(comment: str) -> str:
    """Up to the first full stop, without it."""
    return re.split(r"(?<=\.)(?<!Dr\.)\s", comment, maxsplit=1)[0].rstrip(".") if comment else ""
