"""Whether a worker runs the preflight, and the refusal of what it finds."""

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
    """The training would fail; `findings` is what `preflight` returned."""

    def __init__(self, findings: dict[str, Any]):
        super().__init__("; ".join(problem["what"] for problem in findings["wrong"]))
        self.findings = findings

    def outcome(self) -> WorkerOutcome:
        """The outcome that the worker reports to its parent."""
        problems, trace = self.findings["wrong"], self.findings["traceback"]
        return WorkerOutcome(status=REFUSED, error=str(self), wrong=problems, traceback=trace)


def is_preflight_due(checkpoint: Path | None) -> bool:
    """Whether this rank runs the preflight: the first, of an attempt without a checkpoint, unless `EXPCTL_PREFLIGHT=0`.

    A run with a checkpoint has taken its first step.
    """
    return not (checkpoint or int(os.environ.get("RANK", 0)) or os.environ.get(SWITCH) == "0")


def run_preflight(config: dict[str, Any], stop: StopRequest) -> None:
    """Run the preflight in a forked process.

    Raises:
        RefusedError: it found a problem.
    """
    import torch

    if torch.cuda.is_initialized():
        logger.warning("the preflight is left out: CUDA is in use already, and does not survive a fork")
        return
    findings = in_fork(lambda: preflight(config), is_stopped=lambda: stop.requested)
    if findings is None:
        if not stop.requested:
            logger.warning("the preflight died without an answer; the training begins without it")
    elif findings["wrong"]:
        raise RefusedError(findings)
