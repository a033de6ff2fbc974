"""Say what is wrong."""

import os
import sys
import traceback
from collections.abc import Mapping, Sequence

from expctl.base.exit_codes import EXIT_REFUSED
from expctl.base.refusal import Refusal, as_refusals


def refuse(refusals: list[Refusal], *, most: int = 5) -> int:
    """Print what is wrong; the exit code of a refusal."""
    if os.environ.get("EXPCTL_DEBUG") == "1" and sys.exc_info()[1] is not None:
        traceback.print_exc()
    for refusal in refusals[:most]:
        print(refusal, file=sys.stderr)
    if len(refusals) > most:
        print(f"expctl: and {len(refusals) - most} more", file=sys.stderr)
    return EXIT_REFUSED


def refuse_as_worker(wrong: Sequence[Mapping[str, str]], sources: dict[str, str], trace: str | None) -> int:
    """Print why a worker refused to begin; the exit code of a refusal.

    `wrong`: dicts of `what`, `key` and `do`; `sources`: what set each key; `trace`: a traceback, for EXPCTL_DEBUG=1.
    """
    if trace and os.environ.get("EXPCTL_DEBUG") == "1":
        print(trace, file=sys.stderr)
    return refuse(as_refusals(wrong, sources))


def fail(error: Exception) -> int:
    """Say of an error that nobody foresaw what and where it was; the exit code of a failure."""
    from expctl.base.exit_codes import EXIT_FAILED

    if os.environ.get("EXPCTL_DEBUG") == "1":
        traceback.print_exception(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    print(f"expctl: {type(error).__name__}: {' '.join(str(error).split())[:300]}", file=sys.stderr)
    print(f"  in       {frame.filename}, line {frame.lineno}", file=sys.stderr)
    print("  do       EXPCTL_DEBUG=1 shows the traceback; please report it with the command", file=sys.stderr)
    return EXIT_FAILED
