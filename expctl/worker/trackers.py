"""Trackers: started so that a service out of reach, or a missing key, never costs a training."""

import contextvars
import functools
import logging
import os
import sys
import threading
from typing import Any

from expctl.base.wandb_key import has_wandb_key
from expctl.runs.files import Run
from expctl.runs.manifest import COMPLETED
from expctl.runs.records import Summary
from expctl.runs.tracker_identity import tracked
from expctl.worker import mlflow_run

logger = logging.getLogger(__name__)
REACH_SECONDS = 20
FINISH_SECONDS = 60
# A scheduler that stops a run gives it half a minute, as a rule, and most of that is for the checkpoint.
STOP_SECONDS = 10
# What of summary.json stands beside a run in a tracker's table.
SUMMARY = ("objective", "objective_name", "before", "after")


def start_tracker(config: dict[str, Any], run: Run) -> bool:
    """Start the tracker that the group asks for, for this run; the trainer's callback then uses it, but where this is
    False: it cannot be used."""
    if config["tracker"]["report_to"] == "mlflow":
        return mlflow_run.start(config, run)
    if config["tracker"]["report_to"] == "wandb":
        _start_wandb(config, run)
    elif config["tracker"]["report_to"] == "trackio":
        _prepare_trackio(config, run)
    return True


def _start_wandb(config: dict[str, Any], run: Run) -> None:
    import wandb

    told = tracked(run, config)
    chosen = {
        "project": config["tracker"]["project"],
        "id": told.run_id[-64:],
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


def _prepare_trackio(config: dict[str, Any], run: Run) -> None:
    """What the trainer's callback leaves out when it begins a run, and begins it again after training."""
    import trackio

    trackio.init = functools.partial(trackio.init, group=tracked(run, config).group, config=config)


def trainer_fields(config: dict[str, Any], run: Run) -> dict[str, Any]:
    """Fields of the trainer's arguments from which a tracker has its names, where the user has not set them."""
    if config["tracker"]["report_to"] != "trackio":
        return {}
    # Without a Space of its own: a model that is pushed would publish its metrics otherwise.
    name = tracked(run, config).run_id
    named = {"project": config["tracker"]["project"], "run_name": name, "trackio_static_space_id": False}
    return {key: value for key, value in named.items() if key not in config["args"]}


def close_trackers(run: Run, status: str) -> None:
    """Tell a tracker what came of the run (`summary.json`) and flush it; a service that no longer answers is given up
    on."""
    wandb, trackio = sys.modules.get("wandb"), sys.modules.get("trackio")
    summary = (Summary.read(run.summary) if status == COMPLETED else None) or Summary()
    if (begun := mlflow_run.active(run)) is not None:
        name, close, words = "mlflow", mlflow_run.end, (begun, status, summary)
    elif status != COMPLETED:
        return  # the next attempt goes on with it
    elif wandb is not None and wandb.run is not None:
        name, close, words = "wandb", _close_wandb, (wandb, summary)
    elif trackio is not None and trackio.context_vars.current_run.get() is not None:
        # The evaluation after training has begun it again.
        name, close, words = "trackio", trackio.finish, ()
    else:
        return
    # A context of its own would not know trackio's run.
    closing = threading.Thread(target=contextvars.copy_context().run, args=(close, *words), daemon=True)
    closing.start()
    seconds = FINISH_SECONDS if status == COMPLETED else STOP_SECONDS
    closing.join(seconds)
    if closing.is_alive():
        logger.warning("%s did not finish within %d s; the run's own files on this disk are whole", name, seconds)


def _close_wandb(wandb: Any, summary: Summary) -> None:
    plain = summary.to_plain()
    wandb.run.summary.update({key: plain[key] for key in SUMMARY if plain[key] is not None})
    wandb.finish()
