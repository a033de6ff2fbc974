"""Atomic checkpoints: written aside by every rank, put in place by a rename, and complete with the checksums."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.serialization import get_crc32_options, set_crc32_options
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.runs.checkpoints import ASIDE, complete, found, step_of, write_checksums
from expctl.worker.resume import ExactResume
from expctl.worker.stop import StopRequest


def make_checkpoints_atomic(trainer: Trainer, folder: Path, stop: StopRequest) -> None:
    """Make a trainer write atomic checkpoints, with all that an exact resumption needs."""
    resume = ExactResume(trainer, folder, stop)
    trainer.add_callback(AtomicCheckpoints(trainer, folder, resume))


class AtomicCheckpoints(TrainerCallback):
    """Makes a trainer write atomic checkpoints.

    Everything that the trainer and its parts save goes into a temporary folder, which is renamed to `checkpoint-N` once
    every rank is done. Files that callbacks add in `on_save` go there; then sizes and checksums are written.
    A checkpoint without checksums is not used. Older checkpoints are deleted only after that, so that the last good one
    always exists. A process that dies on the way leaves the temporary folder, which the next checkpoint clears.

    The last callback of the trainer: nothing is written into a checkpoint once its checksums are.
    """

    def __init__(self, trainer: Trainer, folder: Path, resume: ExactResume):
        self._trainer = trainer
        self._folder = folder
        self._resume = resume
        # The trainer would delete by a rule of its own: after a signal the very checkpoint to resume from.
        self._limit, trainer.args.save_total_limit = trainer.args.save_total_limit, None
        self._save, self._get_output_dir = trainer._save_checkpoint, trainer._get_output_dir
        trainer._save_checkpoint = self._save_checkpoint  # type: ignore[method-assign] # transformers has no hook here

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        trainer, aside = self._trainer, self._folder / ASIDE
        name = f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.global_step}"
        if trainer.is_world_process_zero():
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        trainer.accelerator.wait_for_everyone()
        _point_to_best(trainer, self._folder)
        with self._saving_into(aside), without_torch_checksums():
            self._resume.save(aside / name)
            self._save(model, trial)
        # The checkpoint just written may be the best, and the trainer expects it to stay where it was written.
        _point_to_best(trainer, self._folder)
        if trainer.is_world_process_zero():
            trainer.state.save_to_json(str(aside / name / TRAINER_STATE_NAME))
        trainer.accelerator.wait_for_everyone()
        if trainer.is_world_process_zero():
            _put_in_place(aside / name, self._folder / name)
        trainer.accelerator.wait_for_everyone()

    @contextmanager
    def _saving_into(self, folder: Path) -> Iterator[None]:
        def output_dir(trial: Any = None) -> str:
            return str(folder)

        self._trainer._get_output_dir = output_dir  # type: ignore[method-assign] # as above
        try:
            yield
        finally:
            self._trainer._get_output_dir = self._get_output_dir  # type: ignore[method-assign] # as above

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            write_checksums(self._folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
            _rotate(self._folder, self._limit, state.best_model_checkpoint)
        self._trainer.accelerator.wait_for_everyone()


@contextmanager
def without_torch_checksums() -> Iterator[None]:
    """Save without torch's slow checksums: ours are of whole files, and these are verified."""
    before = get_crc32_options()
    set_crc32_options(False)
    try:
        yield
    finally:
        set_crc32_options(before)


def _point_to_best(trainer: Trainer, folder: Path) -> None:
    """Name the best checkpoint where it will be: the trainer looks beside the one that it is writing."""
    if trainer.state.best_global_step:
        trainer.state.best_model_checkpoint = str(folder / f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.best_global_step}")


def _put_in_place(written: Path, checkpoint: Path) -> None:
    """Rename the checkpoint that was written aside, and files such as model cards that a trainer writes beside it."""
    if checkpoint.exists():  # an earlier attempt's checkpoint of the same step, damaged or before the epoch's end
        os.replace(checkpoint, written.parent / "replaced")
    os.replace(written, checkpoint)
    for file in written.parent.iterdir():
        if file.is_file():
            os.replace(file, checkpoint.parent / file.name)
    shutil.rmtree(written.parent, ignore_errors=True)


def _rotate(folder: Path, limit: int | None, best: str | None) -> None:
    """Delete incomplete checkpoints, and the oldest ones beyond the limit, but never the best one nor the newest."""
    kept = sorted(complete(folder), key=step_of)
    for checkpoint in set(found(folder)) - set(kept):
        shutil.rmtree(checkpoint)
    if not limit:
        return
    for checkpoint in kept[: -max(limit, 1)]:
        if best is None or checkpoint != Path(best):
            shutil.rmtree(checkpoint)
