"""The checkpoints of a run that one can carry on from."""

import re
from pathlib import Path

from expctl.runs.files import read_json


def step_of(checkpoint: Path) -> int:
    """The optimizer step of `checkpoint-N`."""
    return int(checkpoint.name.rpartition("-")[2])


def last_complete(folder: Path) -> Path | None:
    """The latest `checkpoint-N` that was written to its end.

    transformers writes `trainer_state.json` after the weights and the optimizer; a folder without it was cut short.
    """
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    complete = [path for path in found if read_json(path / "trainer_state.json") is not None]
    return max(complete, key=step_of, default=None)
