"""`python -m expctl.worker RUN_FOLDER`: one rank of a run. Started by the parent or by `accelerate launch`."""

import sys
from pathlib import Path

from expctl.worker.main import work

if __name__ == "__main__":
    work(Path(sys.argv[1]))
