"""The imports of a run, which take most of its start."""

import gc
import os
from importlib import import_module
from typing import Any

from expctl.base.modules import is_known
from expctl.base.telemetry import silence


def import_libraries(config: dict[str, Any]) -> None:
    """Import what the worker of this experiment needs, but none of the user's own code, which may do anything."""
    from hydra.utils import get_class

    silence(os.environ)
    # TRL's notice would come from every process; the command has said it (see `expctl.config.experimental`).
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    for module in ("build", "control_callbacks", "distributed", "record", "summary", "trackers"):
        import_module(f"expctl.worker.{module}")
    for target in (config["algorithm"]["trainer"]["_target_"], config["args"]["_target_"]):
        if is_known(target):
            get_class(target)
    # Imported objects live on: the garbage collections that transformers asks for need not walk them (0.3 s each), and
    # the memory pages of a forked process stay shared.
    gc.freeze()
