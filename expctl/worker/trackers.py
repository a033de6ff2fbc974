"""Trackers: started so that a service out of reach, or a missing key, never costs a training."""

import logging
import netrc
import os
import sys
import threading
from typing import Any

from expctl.runs.files import Run

logger = logging.getLogger(__name__)
REACH_SECONDS = 20
FINISH_SECONDS = 60


def start_tracker(config: dict[str, Any], run: Run) -> None:
    """Start Weights & Biases for this run, where the tracker group asks for it; the trainer's callback then uses it."""
    if config["tracker"]["report_to"] == "wandb":
        _start_wandb(config, run)


def _start_wandb(config: dict[str, Any], run: Run) -> None:
    import wandb

    chosen = {
        "project": config["tracker"]["project"],
        "name": config["name"] or run.run_id,
        "id": run.run_id.replace("/", "_")[-64:],
        "group": run.run_id.rsplit("-s", 1)[0],
        "dir": str(run.folder),
        "config": config,
    }
    mode = config["tracker"]["mode"] or ("online" if _has_key() else "offline")
    if mode == "online":
        try:
            wandb.init(
                **chosen, resume="allow", mode=mode, settings=wandb.Settings(init_timeout=REACH_SECONDS, silent=True)
            )
            return
        except Exception as error:  # wandb raises its own, requests' and plain errors, all meaning: not now
            logger.warning("wandb cannot be reached (%s); recording offline into %s", error, run.folder)
            wandb.teardown()
    os.environ["WANDB_MODE"] = "offline" if mode == "online" else mode
    wandb.init(**chosen, mode=os.environ["WANDB_MODE"], settings=wandb.Settings(silent=True))


def _has_key() -> bool:
    """Whether a key is set in the environment or was stored by `wandb login`."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def close_trackers() -> None:
    """Flush a tracker before the process leaves; one whose service no longer answers is given up on."""
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return
    closing = threading.Thread(target=wandb.finish, daemon=True)
    closing.start()
    closing.join(FINISH_SECONDS)
    if closing.is_alive():
        logger.warning("wandb did not finish within %d s; its own files in the run's folder are whole", FINISH_SECONDS)
