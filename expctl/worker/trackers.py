"""Starts and ends trackers, so that an unreachable service or a missing key never ends a training."""

import contextvars
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable
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
# A scheduler that stops a run usually gives it half a minute, and most of that is for the checkpoint.
STOP_SECONDS = 10
# The keys of summary.json that a tracker's table of runs shows.
SUMMARY = ("objective", "objective_name", "before", "after")


def start_tracker(config: dict[str, Any], run: Run) -> bool:
    """Start the tracker that the config names, for the trainer's callback to use.

    Returns:
        Whether it can be used.
    """
    if config["tracker"]["report_to"] == "mlflow":
        return mlflow_run.start(config, run)
    if config["tracker"]["report_to"] == "wandb":
        _start_wandb(config, run)
    elif config["tracker"]["report_to"] == "trackio":
        _prepare_trackio(config, run)
    return True


def _start_wandb(config: dict[str, Any], run: Run) -> None:
    import wandb

    identity = tracked(run, config)
    fields = {
        "project": config["tracker"]["project"],
        "id": identity.run_id[-64:],
        "name": identity.name,
        "group": identity.group,
        "job_type": identity.job_type,
        "tags": identity.tags,
        "dir": str(run.folder),
        "config": config,
    }
    default = "online" if has_wandb_key() else "offline"
    mode: Any = config["tracker"]["mode"] or default  # Any: wandb lists the modes as literals
    if mode == "online":
        settings = wandb.Settings(init_timeout=REACH_SECONDS, silent=True)
        try:
            wandb.init(**fields, resume="allow", mode=mode, settings=settings)
            return
        except Exception as error:  # wandb raises its own errors, requests' and plain ones, all for: not now
            logger.warning("wandb cannot be reached (%s); recording offline into %s", error, run.folder)
            wandb.teardown()
        mode = "offline"
    os.environ["WANDB_MODE"] = mode
    wandb.init(**fields, mode=mode, settings=wandb.Settings(silent=True))


def _prepare_trackio(config: dict[str, Any], run: Run) -> None:
    """Add group and config, which the trainer's callback leaves out when it starts a run, and again after training."""
    import trackio

    trackio.init = functools.partial(trackio.init, group=tracked(run, config).group, config=config)


def tracker_fields(config: dict[str, Any], run: Run) -> dict[str, Any]:
    """The trainer's arguments that name the run for trackio, where the user has not set them."""
    if config["tracker"]["report_to"] != "trackio":
        return {}
    fields = {
        "project": config["tracker"]["project"],
        "run_name": tracked(run, config).run_id,
        # No static Space: a model that is pushed would publish its metrics otherwise.
        "trackio_static_space_id": False,
    }
    return {key: value for key, value in fields.items() if key not in config["args"]}


def close_trackers(run: Run, status: str) -> None:
    """Send a tracker the summary of the run and flush it; a service that does not answer in time is abandoned."""
    tracker = _open_tracker(run, status)
    if tracker is None:
        return
    name, close = tracker
    # A new context would not have trackio's current run.
    closing = threading.Thread(target=contextvars.copy_context().run, args=(close,), daemon=True)
    closing.start()
    seconds = FINISH_SECONDS if status == COMPLETED else STOP_SECONDS
    closing.join(seconds)
    if closing.is_alive():
        logger.warning("%s did not finish within %d s; the run's own files on this disk are complete", name, seconds)


def _open_tracker(run: Run, status: str) -> tuple[str, Callable[[], object]] | None:
    """The tracker that records this run, and the call that closes it; None where nothing is to be closed."""
    wandb, trackio = sys.modules.get("wandb"), sys.modules.get("trackio")
    summary = (Summary.read(run.summary) if status == COMPLETED else None) or Summary()
    mlflow_id = mlflow_run.active(run)
    if mlflow_id is not None:
        return "mlflow", functools.partial(mlflow_run.end, mlflow_id, status, summary)
    if status != COMPLETED:
        return None  # the next attempt continues it
    if wandb is not None and wandb.run is not None:
        return "wandb", functools.partial(_close_wandb, wandb, summary)
    if trackio is not None and trackio.context_vars.current_run.get() is not None:
        return "trackio", trackio.finish  # the evaluation after training has started it again
    return None


def _close_wandb(wandb: Any, summary: Summary) -> None:
    plain = summary.to_plain()
    wandb.run.summary.update({key: plain[key] for key in SUMMARY if plain[key] is not None})
    wandb.finish()
