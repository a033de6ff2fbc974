"""How groups, their settings and lists of names are written for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from expctl.runs.filters import text_of

# Below it are the rows of a table of experiments, whose names say enough.
ROWS = "experiment/"


def label_of(settings: Mapping[str, Any], lacking: Sequence[str]) -> str:
    """The settings of a group; of one that has none, what it lacks beside the others, as a model that no run made."""
    if settings:
        return " ".join(_labelled(name, value) for name, value in settings.items())
    return " ".join(f"no {name.removeprefix('args.')}" for name in lacking) or "all runs"


def _labelled(name: str, value: Any) -> str:
    return typed(value) if name.startswith(ROWS) else f"{name.removeprefix('args.')}={typed(value)}"


def typed(value: Any) -> str:
    """A value as a person types it."""
    if isinstance(value, float):
        return f"{value:g}"
    return canonical(value) if isinstance(value, list | dict) else text_of(value)


def canonical(value: Any) -> str:
    """The same text for the same value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, default=str)


def listed(names: Sequence[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
