"""Folders outside a run: the outputs folder, and the cache."""

import os
from collections.abc import Collection
from itertools import count
from pathlib import Path

# Folders of outputs in which further runs lie: those done again, and those that force=true has replaced.
RERUNS, REPLACED = "reruns", "replaced"


def outputs_root(folder: Path | None = None) -> Path:
    """The folder of the runs: `$EXPCTL_OUTPUTS`, or `outputs/` of the working folder."""
    chosen = os.environ.get("EXPCTL_OUTPUTS")
    return Path(chosen).resolve() if chosen else (folder or Path.cwd()) / "outputs"


def outputs_of(run: Path) -> Path:
    """The outputs folder that a run's folder belongs to."""
    return run.parent.parent if run.parent.name in (RERUNS, REPLACED) else run.parent


def first_free(folder: Path, name: str, suffixes: Collection[str] = ("",)) -> int:
    """The first number from 1 on so that a folder has nothing called `<name>-<number>` with any of the suffixes."""
    return next(
        number for number in count(1) if not any((folder / f"{name}-{number}{suffix}").exists() for suffix in suffixes)
    )


def cache_root() -> Path:
    """The folder of converted weights, digests and indices: `$EXPCTL_CACHE`, or `expctl` in the user's cache folder."""
    chosen = os.environ.get("EXPCTL_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "expctl"
