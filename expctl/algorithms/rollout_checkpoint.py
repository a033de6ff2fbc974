"""Makes a checkpoint in the middle of a rollout exact: what was sampled is saved, not sampled again.

With `steps_per_generation` above `gradient_accumulation_steps`, or `num_iterations` above one, a rollout feeds several
optimizer steps. TRL keeps it in memory only; a run resumed between two of them samples anew from weights that have
moved on, and from then on is out of step with the one that was never interrupted.
"""

import logging
import os
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import send_to_device
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.algorithms.trainer_hooks import GRPOMixin

if TYPE_CHECKING:
    from transformers import Trainer

logger = logging.getLogger(__name__)


class RolloutCheckpoint(GRPOMixin):
    """Saves what a `GRPOTrainer` still has to train on with every checkpoint.

    One file a rank, `rollout_<rank>.pt`, about 20 bytes a token of the rollout (images come on top) and next to nothing
    at the boundary of two rollouts. Random states, weights and optimizer are the stock trainer's own.

    A checkpoint without these files, or of another number of processes, is resumed as TRL does it, with a warning.
    """

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        assert self.args.steps_per_generation is not None  # GRPOConfig fills it in
        rollout_is_used_up = self._step % (self.args.steps_per_generation * self.num_iterations) == 0
        state = {
            "step": self._step,
            "world_size": self.accelerator.num_processes,
            "batches": None if rollout_is_used_up else self._buffered_inputs,
        }
        folder = checkpoint_folder(self, trial)
        os.makedirs(folder, exist_ok=True)
        write_state(state, _path(folder, self.accelerator.process_index))
        # The trainer's own state comes last, so a checkpoint that has it is complete.
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        path = _path(checkpoint, self.accelerator.process_index)
        if not os.path.exists(path):
            logger.warning(f"{path} is missing: a rollout that was not used up is sampled again.")
            return
        # Not straight to the device: with several ranks on the CPU it is "cpu:0", which torch does not load to.
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["world_size"] != self.accelerator.num_processes:
            logger.warning(
                f"{path} was written by {state['world_size']} processes, not {self.accelerator.num_processes}: "
                "a rollout that was not used up is sampled again."
            )
            return
        self._step = state["step"]
        self._buffered_inputs = send_to_device(state["batches"], self.accelerator.device)


def checkpoint_folder(trainer: "Trainer", trial: Any) -> str:
    """The folder that the stock trainer writes the current step's checkpoint to."""
    return os.path.join(trainer._get_output_dir(trial), f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.global_step}")


def write_state(state: dict[str, Any], path: str) -> None:
    """Write plain values and tensors to a file that is complete or absent."""
    torch.save(state, f"{path}.part")
    os.replace(f"{path}.part", path)


def _path(folder: str, rank: int) -> str:
    return os.path.join(folder, f"rollout_{rank}.pt")
