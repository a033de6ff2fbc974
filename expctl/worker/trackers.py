"""Trackers: started so that a service out of reach, or a missing key, never costs a training."""

import logging
import os
import sys
import threading
from typing import Any

from expctl.runs.files import Run, read_json
from expctl.runs.tracked import tracked
from expctl.wandb_key import has_wandb_key

logger = logging.getLogger(__name__)
REACH_SECONDS = 20
FINISH_SECONDS = 60
# What of summary.json stands beside a run in a tracker's table.
SUMMARY = ("objective", "objective_name", "before", "after")


def start_tracker(config: dict[str, Any], run: Run) -> None:
    """Start Weights & Biases for this run, where the tracker group asks for it; the trainer's callback then uses it."""
    if config["tracker"]["report_to"] == "wandb":
        _start_wandb(config, run)


def _start_wandb(config: dict[str, Any], run: Run) -> None:
    import wandb

    told = tracked(run, config)
    chosen = {
        "project": config["tracker"]["project"],
        "id": run.run_id[-64:],
        "name": told.name,
        "group": told.group,
        "job_type": told.job_type,
        "tags": told.tags,
        "dir": str(run.folder),
        "config": config,
    }
    mode = config["tracker"]["mode"] or ("online" if has_wandb_key() else "offline")
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


def close_trackers(run: Run) -> None:
    """Tell a tracker what came of the run (`summary.json`) and flush it; a service that no longer answers is given up
    on."""
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return
    closing = threading.Thread(target=_close_wandb, args=(wandb, read_json(run.summary) or {}), daemon=True)
    closing.start()
    closing.join(FINISH_SECONDS)
    if closing.is_alive():
        logger.warning("wandb did not finish within %d s; its own files in the run's folder are whole", FINISH_SECONDS)


def _close_wandb(wandb: Any, summary: dict[str, Any]) -> None:
    wandb.run.summary.update({key: summary[key] for key in SUMMARY if summary.get(key) is not None})
    wandb.finish()
