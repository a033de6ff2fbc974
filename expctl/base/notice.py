"""Notices on standard error, since Hydra switches the loggers of the command off."""

import sys
from functools import cache


def notice(text: str) -> None:
    """Print a notice."""
    print(f"expctl: {text}", file=sys.stderr, flush=True)


@cache
def notice_once(text: str) -> None:
    """Print a notice that every job of a sweep would print, only once."""
    notice(text)
