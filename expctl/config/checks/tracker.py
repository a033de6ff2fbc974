"""Trackers: the packages that not everybody installs, and what a config must not hold."""

from importlib.util import find_spec

from expctl.base.experiment import Experiment
from expctl.base.masking import shown
from expctl.base.refusal import Refusal
from expctl.config.extras import missing

# Tracker -> the packages that it needs; the extra is called like the tracker. A small mlflow comes without a database.
PACKAGES = {"tensorboard": ("tensorboard",), "trackio": ("trackio",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}


def check_tracker(experiment: Experiment) -> list[Refusal]:
    """Refuse a tracker whose package is not there (the trainer would find out late), and a password in its address."""
    tracker = experiment.config["tracker"]["report_to"]
    if any(find_spec(package) is None for package in PACKAGES.get(tracker, ())):
        return [missing(tracker, f"tracker={experiment.choices.get('tracker', tracker)}")]
    uri = experiment.config["tracker"].get("uri") or ""
    if shown("", uri) == uri:
        return []
    return [
        Refusal(
            "'tracker.uri' holds a user, a password or a token, which would be written into the run's files",
            where="tracker.uri",  # the word that set it would show the password
            do="leave them out; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, are "
            "read from the environment, and so is all of it from MLFLOW_TRACKING_URI",
        )
    ]
