"""Jobs that were completed before, known without composing them: a thousand are passed over in seconds.

What composing a job's overrides gives depends on the config files and on a few facts of the machine. While those are
the same, they mean the run that they meant before. Runs that depend on more (the user's own code, local data or
weights) are composed each time, so that a change in those is never overlooked.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

import expctl
from expctl.base.paths import cache_root, outputs_root
from expctl.base.plain_data import mapping
from expctl.devices import detection
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.manifest import COMPLETED, recorded

# Resolvers whose answers are not among the conditions below. (That of oc.select is in the config itself.)
OTHER_FACTS = re.compile(r"\$\{(oc\.(env|create)|now|hydra|random)\b")


class Finished:
    """Overrides of a job -> the folder of its completed run, while the conditions hold."""

    def __init__(self, loader: ConfigLoader, sweep: DictConfig):
        conditions = _conditions(loader, sweep)
        self._path = cache_root() / "cells" / f"{conditions}.json" if conditions else None
        self._known: dict[str, str] = mapping(read_json(self._path) if self._path else None)
        self._new: dict[str, str] = {}

    def run_of(self, overrides: Sequence[str]) -> Path | None:
        """The folder of the completed run that the overrides mean, if it is known to be theirs."""
        known = self._known.get(_key(overrides))
        if known is None or recorded(Run(Path(known))).status != COMPLETED:
            return None
        return Path(known)

    def remember(self, overrides: Sequence[str], run: Path) -> None:
        """Keep what the overrides of a completed job mean, where nothing but the conditions decides it."""
        manifest = recorded(Run(run))
        if _key(overrides) not in self._known and not manifest.sources and not manifest.inputs:
            self._new[_key(overrides)] = str(run)

    def save(self) -> None:
        """Write what was kept, for the sweeps to come."""
        if self._path is None or not self._new:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._known | self._new)
        except OSError:
            return  # a read-only home: the next sweep composes its jobs again


def _key(overrides: Sequence[str]) -> str:
    return json.dumps(list(overrides))


def _conditions(loader: ConfigLoader, sweep: DictConfig) -> str | None:
    """A hash of all that the composition of overrides depends on; None where a config file asks for other facts."""
    own_code = sorted(Path(expctl.__file__).parent.rglob("*.py"))
    facts: list[Any] = [
        expctl.__version__,
        str(Path.cwd()),
        str(outputs_root()),
        sweep.hydra.job.config_name,
        detection.gpu_names(),
        detection.gpu_runs_bf16() if detection.gpu_names() else None,
        detection.cores(),
        [(str(file), file.stat().st_mtime_ns) for file in own_code],
    ]
    for source in loader.get_sources():
        folder = Path(source.path)
        if source.scheme() != "file":
            continue
        for file in sorted(folder.rglob("*.yaml")):
            text = file.read_text(encoding="utf-8", errors="replace")
            if OTHER_FACTS.search(text):
                return None
            facts.append((str(file), text))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
