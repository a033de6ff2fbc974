"""`python -m expctl.worker.preflight`: read resolved configs, a line of JSON each, and answer each in a line of JSON.

The libraries are imported once; each config is checked in a process of its own.
"""

import json
import os
import sys
from functools import partial

from expctl.base.parent_death import exit_with_parent
from expctl.worker.libraries import import_libraries
from expctl.worker.preflight.fork import in_fork
from expctl.worker.preflight.phases import preflight


def main() -> None:
    """Answer each line until there is none; null where the check crashed over a config."""
    exit_with_parent(os.getppid())()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the answers alone go to stdout, and not what libraries print
    imported = set()
    for line in sys.stdin:
        config = json.loads(line)
        target = config["algorithm"]["trainer"]["_target_"]
        if target not in imported:
            import_libraries(config)
            imported.add(target)
        print(json.dumps(in_fork(partial(preflight, config))), file=answers)


if __name__ == "__main__":
    main()
