"""Shell completion beside Hydra's own: verbs, and the runs and groups that verbs take.

Hydra's script (`expctl --shell-completion install=bash`) asks `expctl -sc query=bash` with the line in COMP_LINE. What
Hydra knows, the overrides, is left to it; the line that it sees has no verb.
"""

import os
from collections.abc import Collection

from expctl.algorithms.upstream import ALGORITHMS
from expctl.base.paths import outputs_root
from expctl.config.groups import groups

# Verbs whose words are overrides, and verbs that take runs.
OF_OVERRIDES = ("check", "data", "explain", "plan")
OF_ALGORITHMS = {"verify": (*ALGORITHMS,), "new": ("algorithm",)}
OF_RUNS = ("show", "eval", "sample", "resume", "rerun", "compare", "sync")


def suggest(verbs: Collection[str]) -> bool:
    """Print what expctl itself suggests for the line; False where Hydra has more to say."""
    line = os.environ.get("COMP_LINE", "")
    command, *words = line.split() or [""]
    is_new = line.endswith(" ")
    verb = words[0] if words and (len(words) > 1 or is_new) else None
    word = "" if is_new or not words else words[-1]
    if verb is None:
        _print(verbs, word)
        return False
    if verb in OF_RUNS:
        _print(_runs(), word)
        return True
    if verb == "list":
        _print(groups(), word)
        return True
    if verb in OF_ALGORITHMS:
        _print(OF_ALGORITHMS[verb], word)
        return True
    if verb in OF_OVERRIDES:
        os.environ["COMP_LINE"] = " ".join([command, *words[1:]]) + (" " if is_new else "")
    return False


def _print(candidates: Collection[str], beginning: str) -> None:
    suggested = [name for name in sorted(candidates) if name.startswith(beginning)]
    if suggested:
        print("\n".join(suggested), flush=True)


def _runs() -> list[str]:
    try:
        return [name for name in os.listdir(outputs_root()) if (outputs_root() / name / "run.json").is_file()]
    except OSError:
        return []
