"""Checkpoints that are complete or absent: written aside by every rank, sealed, and put in place by a rename."""

import os
import shutil
from pathlib import Path
from types import MethodType
from typing import Any

from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.runs.checkpoints import ASIDE, complete, seal, step_of


def keep_checkpoints_whole(trainer: Trainer, folder: Path) -> None:
    """Make a trainer write its checkpoints whole.

    What the trainer and its parts save goes into a folder aside; once every rank is done the files are sealed (sizes
    and checksums) and the folder is renamed to `checkpoint-N`. Older ones are deleted only after that, so that the last
    good one is never gone. A process that dies on the way leaves the folder aside, which the next checkpoint clears.
    """
    save, output_dir = trainer._save_checkpoint, trainer._get_output_dir
    aside = folder / ASIDE

    def save_whole(self: Trainer, model: Any, trial: Any) -> None:
        leads = self.is_world_process_zero()
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if leads:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self._get_output_dir = lambda trial=None: str(aside)
        _point_to_best(self, folder)
        try:
            save(model, trial)
        finally:
            self._get_output_dir = output_dir
        self.accelerator.wait_for_everyone()
        if leads:
            _put_in_place(aside / name, folder / name)
            _rotate(folder, self.args.save_total_limit, self.state.best_model_checkpoint)
        self.accelerator.wait_for_everyone()

    trainer._save_checkpoint = MethodType(save_whole, trainer)


def _point_to_best(trainer: Trainer, folder: Path) -> None:
    """The trainer looks for its best checkpoint beside the one it writes, which is not where it lies."""
    if trainer.state.best_global_step:
        trainer.state.best_model_checkpoint = str(folder / f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.best_global_step}")


def _put_in_place(written: Path, place: Path) -> None:
    seal(written)
    if place.exists():  # an earlier attempt's checkpoint of the same step that was found damaged
        shutil.rmtree(place)
    os.replace(written, place)
    # Model cards that a trainer writes beside its checkpoints.
    for file in written.parent.iterdir():
        if file.is_file():
            os.replace(file, place.parent / file.name)
    shutil.rmtree(written.parent, ignore_errors=True)


def _rotate(folder: Path, limit: int | None, best: str | None) -> None:
    """Delete the oldest complete checkpoints beyond the limit, never the best one nor the newest."""
    kept = sorted(complete(folder), key=step_of)
    for checkpoint in kept[: -max(limit, 1)] if limit else []:
        if best is None or checkpoint != Path(best):
            shutil.rmtree(checkpoint)
