"""Checkpoints that are complete or absent: written aside by every rank, put in place by a rename, and sealed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

from torch.serialization import get_crc32_options, set_crc32_options
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.runs.checkpoints import ASIDE, complete, found, seal, step_of
from expctl.worker.resume import ExactResume
from expctl.worker.stop import StopRequest


def keep_checkpoints_whole(trainer: Trainer, folder: Path, stop: StopRequest) -> None:
    """Make a trainer write its checkpoints whole, and with all that a resumed run needs to go on exactly."""
    resume = ExactResume(trainer, folder, stop)
    trainer.add_callback(WholeCheckpoints(trainer, folder, resume))


class WholeCheckpoints(TrainerCallback):
    """Makes a trainer write its checkpoints whole.

    What the trainer and its parts save goes into a folder aside; once every rank is done it is renamed to
    `checkpoint-N`. What callbacks put beside it when it is saved goes there, and then the files are sealed (sizes and
    checksums): without its seal a checkpoint does not count. Older ones are deleted only after that, so that the last
    good one is never gone. A process that dies on the way leaves the folder aside, which the next checkpoint clears.

    The last callback of the trainer: nothing is written into a checkpoint once it is sealed.
    """

    def __init__(self, trainer: Trainer, folder: Path, resume: ExactResume):
        self._trainer = trainer
        self._folder = folder
        # The trainer would delete by its own lights: after a signal the very checkpoint to carry on from.
        self._limit, trainer.args.save_total_limit = trainer.args.save_total_limit, None
        save, output_dir = trainer._save_checkpoint, trainer._get_output_dir
        aside = folder / ASIDE

        def save_whole(this: Trainer, model: Any, trial: Any) -> None:
            leads = this.is_world_process_zero()
            name = f"{PREFIX_CHECKPOINT_DIR}-{this.state.global_step}"
            if leads:
                shutil.rmtree(aside, ignore_errors=True)
                aside.mkdir(parents=True)
            this.accelerator.wait_for_everyone()
            this._get_output_dir = lambda trial=None: str(aside)
            _point_to_best(this, folder)
            try:
                with without_checksums_of_torch():
                    resume.save(aside / name)
                    save(model, trial)
            finally:
                this._get_output_dir = output_dir
            # The one that was just written may be the best, and the trainer thinks that it stays where it was written.
            _point_to_best(this, folder)
            if leads:
                this.state.save_to_json(str(aside / name / TRAINER_STATE_NAME))
            this.accelerator.wait_for_everyone()
            if leads:
                _put_in_place(aside / name, folder / name)
            this.accelerator.wait_for_everyone()

        trainer._save_checkpoint = MethodType(save_whole, trainer)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            seal(self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
            _rotate(self._folder, self._limit, state.best_model_checkpoint)
        self._trainer.accelerator.wait_for_everyone()


@contextmanager
def without_checksums_of_torch() -> Iterator[None]:
    """torch sums up what it saves, slowly; the seal does so as well, over whole files, and is what is checked."""
    before = get_crc32_options()
    set_crc32_options(False)
    try:
        yield
    finally:
        set_crc32_options(before)


def _point_to_best(trainer: Trainer, folder: Path) -> None:
    """The trainer looks for its best checkpoint beside the one it writes, and finds none, or that one, which moves."""
    if trainer.state.best_global_step:
        trainer.state.best_model_checkpoint = str(folder / f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.best_global_step}")


def _put_in_place(written: Path, place: Path) -> None:
    if place.exists():  # an earlier attempt's checkpoint of the same step, damaged or before the epoch's end
        os.replace(place, written.parent / "replaced")
    os.replace(written, place)
    # Model cards that a trainer writes beside its checkpoints.
    for file in written.parent.iterdir():
        if file.is_file():
            os.replace(file, place.parent / file.name)
    shutil.rmtree(written.parent, ignore_errors=True)


def _rotate(folder: Path, limit: int | None, best: str | None) -> None:
    """Delete the oldest complete checkpoints beyond the limit, never the best one nor the newest; and unsealed ones."""
    kept = sorted(complete(folder), key=step_of)
    for checkpoint in set(found(folder)) - set(kept):
        shutil.rmtree(checkpoint)
    for checkpoint in kept[: -max(limit, 1)] if limit else []:
        if best is None or checkpoint != Path(best):
            shutil.rmtree(checkpoint)
