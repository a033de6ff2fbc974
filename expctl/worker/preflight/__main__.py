"""`python -m expctl.worker.preflight [ROWS]`: read resolved configs, a line of JSON each, and answer each in a line.

The answer is what is wrong with the experiment; where ROWS are asked for, a view of its data with so many of them. The
libraries are imported once; each config is looked at in a process of its own.
"""

import json
import sys
from functools import partial

from expctl.worker.answers import answers_alone
from expctl.worker.data_view.view import view
from expctl.worker.libraries import import_libraries
from expctl.worker.preflight.fork import in_fork
from expctl.worker.preflight.phases import preflight


def main() -> None:
    """Answer each line until there is none; null where the check crashed over a config."""
    answers = answers_alone()
    answer = partial(view, shown=int(sys.argv[1])) if len(sys.argv) > 1 else preflight
    imported = set()
    for line in sys.stdin:
        config = json.loads(line)
        target = config["algorithm"]["trainer"]["_target_"]
        if target not in imported:
            import_libraries(config)
            imported.add(target)
        print(json.dumps(in_fork(partial(answer, config))), file=answers)


if __name__ == "__main__":
    main()
