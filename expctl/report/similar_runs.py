"""The note that a new run is nearly one that was left unfinished."""

import sys
from typing import Any

from expctl.runs.bundle import code_of
from expctl.runs.similar import SimilarRun


def print_kin(kin: SimilarRun) -> None:
    """Say on stderr which unfinished run a new one is close to, in what they differ, and how to carry that one on."""
    rows = [(key, f"{_short(was)} -> {_short(now)}") for key, was, now in kin.settings]
    rows += list(kin.files.items())
    width = max((len(name) for name, _ in rows), default=0)
    article = "an" if kin.status == "interrupted" else "a"
    lines = [f"note: this is a new run, nearly the same as {article} {kin.status} one:"]
    lines += [f"  {name:<{width}}  {change}" for name, change in rows]
    where = f"has a checkpoint at step {kin.step}" if kin.step else "has no checkpoint yet"
    lines += [f"  {kin.run.run_id} {where}; to carry it on instead:"]
    if kin.files:
        kept = f" (its code: {code_of(kin.run)})" if code_of(kin.run).is_dir() else ""
        lines.append(f"  put {', '.join(kin.files)} back as it was{kept}, then")
    lines.append(f"  expctl resume {kin.run.run_id}")
    print("\n".join(lines), file=sys.stderr)


def _short(value: Any) -> str:
    text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
