"""TRL's notice about `trl.experimental`, said once and before the run instead of by every process while it imports."""

import os
from importlib.metadata import version
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.config.source.lookup import find

PREFIX = "trl.experimental."
# Set to anything, it silences TRL's notice and this one.
SILENCE = "TRL_EXPERIMENTAL_SILENCE"


def experimental_notes(experiment: Experiment) -> list[str]:
    """The note that the trainer is one of `trl.experimental`; none where it is not, or is not to be said."""
    target = mapping(experiment.config["algorithm"].get("trainer")).get("_target_")
    module = experimental_module(target, experiment)
    if module is None or os.environ.get(SILENCE):
        return []
    named = experiment.choices.get("algorithm", target)
    return [
        f"algorithm={named} is experimental in TRL {version('trl')} ({module}): any release may change or remove it; "
        f"this run's manifest has the version ({SILENCE}=1 leaves this out)"
    ]


def experimental_module(target: Any, experiment: Experiment | None = None) -> str | None:
    """The module of `trl.experimental` that a trainer is from or derives from; None where there is none."""
    definition = find(target, experiment.code_folders if experiment else ())
    for ancestor in definition.lineage if definition else ():
        if ancestor.path.startswith(PREFIX):
            return PREFIX + ancestor.path.removeprefix(PREFIX).partition(".")[0]
    return None
