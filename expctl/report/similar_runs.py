"""The note that a new run is nearly one that was left unfinished."""

import sys
from typing import Any

from expctl.base.printable import shortened
from expctl.runs import manifest
from expctl.runs.filters import text_of
from expctl.runs.similar import SimilarRun


def print_similar(similar: SimilarRun) -> None:
    """Say on stderr which unfinished run a new one is close to, how they differ, and how to resume the old one."""
    rows = [(key, f"{_short(was)} -> {_short(now)}") for key, was, now in similar.settings]
    rows += similar.files.items()
    width = max((len(name) for name, _ in rows), default=0)
    article = "an" if similar.status == manifest.INTERRUPTED else "a"
    progress = f"has a checkpoint at step {similar.step}" if similar.step else "has no checkpoint yet"
    lines = [f"note: this is a new run, nearly the same as {article} {similar.status} one:"]
    lines += [f"  {name:<{width}}  {change}" for name, change in rows]
    lines += [f"  {similar.run.run_id} {progress}; to resume it instead:"]
    if similar.files:
        kept = f" (its code: {similar.run.sources})" if similar.run.sources.is_dir() else ""
        lines.append(f"  put {', '.join(similar.files)} back as it was{kept}, then")
    lines.append(f"  expctl resume {similar.run.run_id}")
    print("\n".join(lines), file=sys.stderr)


def _short(value: Any) -> str:
    return shortened("none" if value is None else text_of(value), 40)
