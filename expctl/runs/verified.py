"""What `expctl verify` has found, by algorithm, kept in the cache for `expctl list algorithm`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expctl.base.paths import cache_root
from expctl.base.plain_data import at, mapping, sequence
from expctl.runs.files import read_json, write_json
from expctl.runs.provenance import DECISIVE, versions


def remember(algorithm: str, failed: Iterable[str], code: str) -> None:
    """Keep the outcome of all checks of an algorithm, on the versions installed here.

    Args:
        algorithm: its name.
        failed: names of the checks that did not hold.
        code: a digest of the user's own code that was checked; empty where there is none.

    Raises:
        OSError: the cache cannot be written.
    """
    found = mapping(read_json(_file()))
    _file().parent.mkdir(parents=True, exist_ok=True)
    write_json(_file(), found | {algorithm: {"failed": list(failed), "code": code, "versions": _installed()}})


def last_verdict(algorithm: str, code: str) -> list[str] | None:
    """The checks that did not hold when this code was checked on these versions; None where it was not."""
    found: Any = at(read_json(_file()), algorithm)
    if at(found, "code") != code or at(found, "versions") != _installed():
        return None
    return [str(name) for name in sequence(at(found, "failed"))]


def _installed() -> dict[str, str | None]:
    return {name: versions()[name] for name in DECISIVE}


def _file() -> Path:
    return cache_root() / "verified.json"
