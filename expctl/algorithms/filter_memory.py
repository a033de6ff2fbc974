"""The memory of a group filter in a checkpoint; which filters have one is in `filters`."""

import json
import logging
from pathlib import Path
from typing import Any

from expctl.algorithms.filters import GroupFilter

logger = logging.getLogger(__name__)

MEMORY_FILE = "gfpo_state.json"


def memories(filter: GroupFilter | None) -> list[Any]:
    """The filter and those inside of it (`filter`, `filters`) that have a memory to be saved, in a fixed order."""
    inner = getattr(filter, "filters", None) or [getattr(filter, "filter", None)]
    own = [filter] if hasattr(filter, "load_state_dict") else []
    return own + [memory for part in inner if part is not None for memory in memories(part)]


def save_memory(filter: GroupFilter | None, folder: str) -> None:
    """Write what the filter remembers, if it does, to the checkpoint folder: one JSON file, complete or absent."""
    states = [memory.state_dict() for memory in memories(filter)]
    if states:
        file = Path(folder) / MEMORY_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".part").write_text(json.dumps(states))
        file.with_suffix(".part").replace(file)


def load_memory(filter: GroupFilter | None, folder: str) -> None:
    """Give the filter back what `save_memory` wrote; without the file, warn that it starts anew."""
    file = Path(folder) / MEMORY_FILE
    if memories(filter) and not file.exists():
        logger.warning(
            f"{file} is missing: {type(filter).__name__} was not in use when it was written. It starts anew."
        )
    elif memories(filter):
        for memory, state in zip(memories(filter), json.loads(file.read_text()), strict=True):
            memory.load_state_dict(state)
