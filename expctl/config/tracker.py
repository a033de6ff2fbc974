"""Trackers that need a package which not everybody installs."""

from importlib.util import find_spec

from expctl.config.experiment import Experiment
from expctl.config.extras import missing
from expctl.config.refusal import Refusal

# Tracker -> the package that it needs; the extra is called like the tracker.
PACKAGES = {"tensorboard": "tensorboard", "trackio": "trackio"}


def check_tracker(experiment: Experiment) -> list[Refusal]:
    """Refuse a tracker whose package is not there: the trainer would only find out once the model is loaded."""
    tracker = experiment.config["tracker"]["report_to"]
    if tracker not in PACKAGES or find_spec(PACKAGES[tracker]) is not None:
        return []
    return [missing(tracker, f"tracker={experiment.choices.get('tracker', tracker)}")]
