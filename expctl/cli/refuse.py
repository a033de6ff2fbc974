"""Say what is wrong."""

import os
import sys
import traceback

from expctl.config.refusal import EXIT_REFUSED, Refusal


def refuse(refusals: list[Refusal], *, most: int = 5) -> int:
    """Print what is wrong; the exit code of a refusal."""
    if os.environ.get("EXPCTL_DEBUG") == "1":
        traceback.print_exc()
    for refusal in refusals[:most]:
        print(refusal, file=sys.stderr)
    if len(refusals) > most:
        print(f"expctl: and {len(refusals) - most} more", file=sys.stderr)
    return EXIT_REFUSED
