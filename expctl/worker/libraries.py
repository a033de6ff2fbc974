"""The imports of a run, which take most of its start."""

from typing import Any


def import_libraries(config: dict[str, Any]) -> None:
    """What the worker of this experiment imports; of the user's own code nothing, since that may do anything."""
    from hydra.utils import get_class

    from expctl.worker import build, finish, record, together, trackers, watch  # noqa: F401

    for target in (config["algorithm"]["trainer"]["_target_"], config["args"]["_target_"]):
        if target.startswith(("expctl.", "trl.")):
            get_class(target)
