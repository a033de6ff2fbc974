"""`python -m expctl.worker RUN_FOLDER`: one rank of a run. Started by the parent or by `accelerate launch`."""

import sys
from pathlib import Path

from expctl.worker.main import run_rank

if __name__ == "__main__":
    run_rank(Path(sys.argv[1]))
