"""Standard output of a worker-side process that is asked: for its answers alone."""

import os
from typing import TextIO

from expctl.base.parent_death import exit_with_parent


def answers_alone() -> TextIO:
    """Standard output, a line at a time; what libraries and functions print goes to standard error from now on.

    The process ends with the one that asks.
    """
    exit_with_parent(os.getppid())()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers
