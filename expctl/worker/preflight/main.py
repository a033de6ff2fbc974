"""When a worker takes the preflight, and what it does about what is found."""

import logging
import os
from pathlib import Path
from typing import Any

from expctl.runs.manifest import REFUSED
from expctl.runs.records import WorkerOutcome
from expctl.worker.preflight.fork import in_fork
from expctl.worker.preflight.phases import preflight
from expctl.worker.stop import StopRequest

logger = logging.getLogger(__name__)
SWITCH = "EXPCTL_PREFLIGHT"


class RefusedError(Exception):
    """A training would fail; `found` is what `preflight` returned."""

    def __init__(self, found: dict[str, Any]):
        super().__init__("; ".join(wrong["what"] for wrong in found["wrong"]))
        self.found = found

    def outcome(self) -> WorkerOutcome:
        """What the worker leaves for its parent."""
        wrong, trace = self.found["wrong"], self.found["traceback"]
        return WorkerOutcome(status=REFUSED, error=str(self), wrong=wrong, traceback=trace)


def is_wanted(checkpoint: Path | None) -> bool:
    """On the first rank, of an attempt that starts from the beginning, unless `EXPCTL_PREFLIGHT=0`.

    An attempt that has a checkpoint has been through its first step.
    """
    return not (checkpoint or int(os.environ.get("RANK", 0)) or os.environ.get(SWITCH) == "0")


def refuse_what_is_hopeless(config: dict[str, Any], stop: StopRequest) -> None:
    """Take the preflight.

    Raises:
        RefusedError: something is wrong.
    """
    import torch

    if torch.cuda.is_initialized():
        logger.warning("the preflight is left out: CUDA is in use already, and does not survive a fork")
        return
    found = in_fork(lambda: preflight(config), is_stopped=lambda: stop.asked)
    if found is None:
        if not stop.asked:
            logger.warning("the preflight died without an answer; the training begins without it")
    elif found["wrong"]:
        raise RefusedError(found)
