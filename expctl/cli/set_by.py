"""Which file or word set each value of a run's config, as far as it can be found out afterwards."""

import contextlib
import shlex
from pathlib import Path
from typing import Any

from expctl.config.experiment import Experiment, sources_of
from expctl.config.origin import Origins, origins
from expctl.nested import leaves, sequence
from expctl.runs.filters import text_of

UNKNOWN = "a config file"


def set_by(told: dict[str, Any], values: dict[str, Any]) -> dict[str, str]:
    """Dotted key -> what set it, for every value of a run's config.

    The run's command is composed again in its folder, with the config files as they are now; where they give another
    value by now, that is said. Where they no longer compose, only what was typed is known.
    """
    typed = _typed(told)
    now = _composed(told)
    if now is None:
        return {key: _above(key, typed) or UNKNOWN for key in values}
    experiment, found = now
    at_present = dict(leaves(experiment.config))
    return {key: _place(key, value, found, at_present, typed) for key, value in values.items()}


def _place(key: str, value: Any, found: Origins, at_present: dict[str, Any], typed: dict[str, str]) -> str:
    settings = found.of(key)
    if key not in at_present:
        return _above(key, typed) or f"{UNKNOWN} that has changed"
    where = settings[-1].where if settings else "computed"
    return where if at_present[key] == value else f"{where} (now {text_of(at_present[key])})"


def _composed(told: dict[str, Any]) -> tuple[Experiment, Origins] | None:
    from expctl.cli.hydra_app import compose

    found: list[tuple[Experiment, Origins]] = []
    try:
        words = shlex.split(told["command"])[1:]
        with contextlib.chdir(Path(told["folder"])):
            compose(words, lambda experiment: found.append((experiment, origins())))
    except Exception:  # whatever has become of the files, of the command in a foreign manifest, or of the folder
        return None
    return found[0] if found else None


def _typed(told: dict[str, Any]) -> dict[str, str]:
    return sources_of([word for word in sequence(told.get("overrides")) if isinstance(word, str)])


def _above(key: str, typed: dict[str, str]) -> str | None:
    """The word that set the key itself, or a mapping that it is in."""
    while key and ("." in key or key in typed):
        if key in typed:
            return typed[key]
        key = key.rpartition(".")[0]
    return None
