"""`python -m expctl.worker.preflight`: a line of JSON with a resolved config in, a line of JSON with the answer out.

The libraries are imported once; each config is looked at in a process of its own.
"""

import json
import os
import sys

from expctl.base.parent_death import hear_of_death
from expctl.worker.libraries import import_libraries
from expctl.worker.preflight.fork import in_fork
from expctl.worker.preflight.phases import preflight


def main() -> None:
    """Answer each line until there is none; null where the check died of a config."""
    hear_of_death(os.getppid())()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    imported = set()
    for line in sys.stdin:
        config = json.loads(line)
        target = config["algorithm"]["trainer"]["_target_"]
        if target not in imported:
            import_libraries(config)
            imported.add(target)
        print(json.dumps(in_fork(lambda: preflight(config))), file=answers)  # noqa: B023 - it ends before the next


if __name__ == "__main__":
    main()
