"""Which file or word set each value of a run's config, as the run recorded it."""

from typing import Any

from expctl.base.experiment import sources_of
from expctl.base.plain_data import mapping, text
from expctl.runs.files import Run, read_json
from expctl.runs.records import Manifest

UNKNOWN = "a config file"


def recorded_origins(run: Run, manifest: Manifest, values: dict[str, Any]) -> dict[str, str]:
    """Dotted key -> what set it, for every value of a run's config.

    The origins are read and never composed again, since a run's command and files may be anybody's. Where a run has not
    recorded them, only the typed words are known.
    """
    recorded = mapping(read_json(run.origins))
    typed = sources_of(manifest.overrides)
    return {key: text(recorded.get(key)) or _above(key, typed) or UNKNOWN for key in values}


def _above(key: str, typed: dict[str, str]) -> str | None:
    """The word that set the key itself, or a mapping that it is in."""
    while key and ("." in key or key in typed):
        if key in typed:
            return typed[key]
        key = key.rpartition(".")[0]
    return None
