"""`python -m expctl.verify.rank MODULE:FUNCTION FOLDER`: one process of the check `two_ranks` (see `properties.py`)."""

import os
import sys
from importlib import import_module
from pathlib import Path

import torch

from expctl.verify.properties import script
from expctl.verify.setup import policy, vector


def main(make: str, folder: Path) -> None:
    """Build the trainer with the settings that lie in the folder, train, and leave the weights there."""
    torch.set_num_threads(1)
    module, _, function = make.partition(":")
    trainer = getattr(import_module(module), function)(**torch.load(folder / "settings.pt"))
    script(trainer)
    trainer.train()
    torch.save(vector(policy(trainer)).clone(), folder / f"rank_{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
