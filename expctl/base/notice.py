"""A word to whoever waits at the terminal (Hydra switches the loggers of the command off)."""

import sys


def notice(text: str) -> None:
    print(f"expctl: {text}", file=sys.stderr, flush=True)
