"""The imports of a run, which take most of its start."""

import gc
import os
from typing import Any

from expctl.base.telemetry import silence


def import_libraries(config: dict[str, Any]) -> None:
    """What the worker of this experiment imports; of the user's own code nothing, since that may do anything."""
    from hydra.utils import get_class

    silence(os.environ)
    from expctl.worker import (  # noqa: F401
        build,
        control_callbacks,  # noqa: F401
        distributed,  # noqa: F401
        record,
        summary,  # noqa: F401
        trackers,
    )

    for target in (config["algorithm"]["trainer"]["_target_"], config["args"]["_target_"]):
        if target.startswith(("expctl.", "trl.")):
            get_class(target)
    # What was imported stays: a collection that transformers asks for need not walk it (0.3 s each), and the pages of a
    # process that is forked stay shared.
    gc.freeze()
