"""A word to whoever waits at the terminal (Hydra switches the loggers of the command off)."""

import sys
from functools import cache


def notice(text: str) -> None:
    print(f"expctl: {text}", file=sys.stderr, flush=True)


@cache
def notice_once(text: str) -> None:
    """A notice that each job of a sweep has cause for, given by the first."""
    notice(text)
