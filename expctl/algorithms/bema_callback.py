"""The callback that keeps BEMA's averaged weights through a training run. The arithmetic: `bema`."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.algorithms.bema import BEMAWeights
from expctl.algorithms.bema_reference import (
    TrainerWithReference,
    is_peft,
    prepare_reference,
    reference_parameters,
    refuse_sharded,
    unwrap,
)
from expctl.algorithms.bema_schedule import BEMASchedule, check_reference_updates

logger = logging.getLogger(__name__)
TENSORS_FILE, STATE_FILE = "bema_state.safetensors", "bema_state.json"


class BEMACallback(TrainerCallback):
    """Averages the trainable weights by BEMA (2508.00180), and can make the average the reference model.

    Every checkpoint carries the state, a resumed run continues to the last bit, and at the end the model with the
    averaged weights is saved to `<output_dir>/bema`. Between updates nothing is computed. With LoRA the adapter's
    matrices are averaged, not their product.

    Memory: 12 bytes a trainable parameter on `device`, 4 with the bias correction off, on rank 0 alone (ranks hold the
    same weights). While evaluating with, and saving, the averaged weights one more copy in the parameters' own dtype.
    FSDP, tensor parallelism and ZeRO 3 are refused.

    Args:
        update_freq, ema_power, bias_power, lag, update_after, multiplier, min_ema_multiplier, time: see `BEMASchedule`.
        device: where the buffers are; not the training device unless it has the memory to spare.
        update_ref_model: copy BEMA into the reference model; needs a trainer of `bema_for_ref_model`.
        ref_model_update_freq, ref_model_update_after: the reference is written at step `ref_model_update_after` (not
            at 0) and every `ref_model_update_freq` steps from there, always at a step at which BEMA is fresh.
        evaluate_with_bema: evaluate with the averaged weights (needs those trainers too); `eval_loss` and the choice of
            the best checkpoint then refer to these, while checkpoints still hold the live weights.

    Raises:
        ValueError: a value out of range, or reference updates between BEMA updates.
    """

    def __init__(
        self,
        update_freq: int = 400,
        ema_power: float | None = 0.5,
        bias_power: float | None = 0.2,
        lag: int = 10,
        update_after: int = 0,
        multiplier: float = 1.0,
        min_ema_multiplier: float = 0.0,
        device: str = "cpu",
        update_ref_model: bool = False,
        ref_model_update_freq: int = 400,
        ref_model_update_after: int = 0,
        time: str = "trl",
        evaluate_with_bema: bool = False,
    ):
        self.schedule = BEMASchedule(
            update_freq, ema_power, bias_power, lag, update_after, multiplier, min_ema_multiplier, time
        )
        self.weights = BEMAWeights(self.schedule, device)
        self.update_ref_model = update_ref_model
        self.ref_model_update_freq = ref_model_update_freq
        self.ref_model_update_after = ref_model_update_after
        self.evaluate_with_bema = evaluate_with_bema
        if update_ref_model:
            check_reference_updates(self.schedule, ref_model_update_freq, ref_model_update_after)
        self.resume_from_checkpoint: str | None = None
        self.started = False  # on every rank, while `weights` are filled on rank 0 alone
        self._trainer: TrainerWithReference | None = None
        self._policy: Any = None  # transformers' PreTrainedModel or peft's PeftModel, once training begins
        self._main = False
        self._live: dict[str, nn.Parameter] = {}
        self._reference: dict[str, nn.Parameter] = {}
        self._reference_step: int | None = None
        self._saved_step: int | None = None
        self._swapped = False

    def bind(self, trainer: TrainerWithReference) -> None:
        """Tell the callback its trainer, before training; `BEMATrainerMixin` does."""
        if self._trainer is trainer:
            return
        self._trainer = trainer
        if self.update_ref_model:
            prepare_reference(trainer)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the trained weights from the model, and the state from the checkpoint that training resumes."""
        model: nn.Module = kwargs["model"]
        refuse_sharded(dict(model.named_parameters()))
        if self._trainer is None and (self.update_ref_model or self.evaluate_with_bema):
            option = "update_ref_model" if self.update_ref_model else "evaluate_with_bema"
            raise ValueError(
                f"BEMA: {option}=True needs a trainer that knows the callback: DPOTrainer or GRPOTrainer of "
                "expctl.algorithms.bema_for_ref_model, or a trainer of your own with BEMATrainerMixin."
            )
        self._policy = unwrap(model)
        self._live = {name: p for name, p in self._policy.named_parameters() if p.requires_grad}
        self._reference = {}
        if self.update_ref_model and self._trainer is not None:
            self._reference = reference_parameters(self._trainer)
        self._main, self.started = state.is_world_process_zero, False
        self._reference_step = self._saved_step = None
        first = self.ref_model_update_after or self.ref_model_update_freq
        if self.update_ref_model and state.is_world_process_zero and first > state.max_steps:
            logger.warning(
                "BEMA: the reference model never moves: its first update is at step %d of %d.", first, state.max_steps
            )
        if state.global_step > 0:
            self._resume(args, state.global_step)
        elif self.schedule.update_after == 0:
            self._start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Update the average, and the reference model, where the schedule says so."""
        step = state.global_step
        if step == self.schedule.update_after:
            self._start()
        elif self.schedule.is_update(step) and self._main:
            self.weights.update(self._live, step)
        after = self.ref_model_update_after
        if self.update_ref_model and step >= after and (step - after) % self.ref_model_update_freq == 0:
            self._write_reference(step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write the state into the checkpoint, unless the trainer has done so."""
        if state.is_world_process_zero and not args.save_only_model:
            self.save(_checkpoint(args, state.global_step), state.global_step)

    def save(self, folder: Path, step: int) -> None:
        """Write the state after `step` into a checkpoint's folder, once; on rank 0."""
        if self._saved_step == step:
            return
        tensors = dict(self.weights.state_dict()) if self.started else {}
        if self._reference_step is not None:
            tensors |= {f"reference.{name}": self._reference[name].detach() for name in self._live}
        record = {"started": self.started, "reference_step": self._reference_step, "schedule": asdict(self.schedule)}
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / TENSORS_FILE)
        (folder / STATE_FILE).write_text(json.dumps(record, indent=1))
        self._saved_step = step

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save the model with the averaged weights to `<output_dir>/bema`."""
        if not state.is_world_process_zero:
            return
        folder = _checkpoint(args, state.global_step).with_name("bema")
        adapter = {"selected_adapters": [self._policy.active_adapter]} if is_peft(self._policy) else {}
        with self.swapped_in(all_ranks=False):
            self._policy.save_pretrained(folder, **adapter)
        tokenizer = kwargs.get("processing_class")
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)

    @contextmanager
    def swapped_in(self, all_ranks: bool = True) -> Iterator[None]:
        """Inside, the model has the averaged weights (the live ones while BEMA has not started); outside, its own.

        With `all_ranks` every rank must enter, since rank 0 sends the weights; otherwise rank 0 alone.
        """
        if self._swapped or not self.started:
            yield
            return
        device = self.weights.device
        live = {name: parameter.detach().to(device, copy=True) for name, parameter in self._live.items()}
        self._swapped = True
        try:
            self._send(self._live, all_ranks)
            yield
        finally:
            for name, parameter in self._live.items():
                parameter.data.copy_(live[name])
            self._swapped = False

    def _start(self) -> None:
        self.started = True
        if self._main:
            self.weights.start(self._live)

    def _write_reference(self, step: int) -> None:
        self._send({name: self._reference[name] for name in self._live})
        self._write_frozen_reference()
        self._reference_step = step

    def _write_frozen_reference(self) -> None:
        for name in self._reference.keys() - self._live.keys():
            self._reference[name].data.copy_(self._policy.get_parameter(name).data)

    def _send(self, targets: Mapping[str, Tensor], all_ranks: bool = True) -> None:
        """Rank 0's averaged weights into `targets` of every rank."""
        several = all_ranks and dist.is_initialized() and dist.get_world_size() > 1
        for name, target in targets.items():
            if self._main:
                target.data.copy_(self.weights.bema[name])
            if several:
                dist.broadcast(target.data, src=0)

    def _resume(self, args: TrainingArguments, step: int) -> None:
        folder = Path(self.resume_from_checkpoint or _checkpoint(args, step))
        if not (folder / STATE_FILE).is_file():
            if step < self.schedule.update_after:
                return
            raise ValueError(
                f"BEMA: resuming at step {step}, but {folder} has no {STATE_FILE}: theta_0 and the average are "
                f"lost. Resume a checkpoint saved with BEMACallback, or start it afresh later: "
                f"update_after={step + 1} or more."
            )
        record = json.loads((folder / STATE_FILE).read_text())
        if record["schedule"] != asdict(self.schedule):
            logger.warning(
                "BEMA: %s was saved under %s, and goes on under %s.", folder, record["schedule"], self.schedule
            )
        self.started, self._reference_step = record["started"], record["reference_step"]
        with safe_open(folder / TENSORS_FILE, "pt") as file:
            saved = {key: key.split(".", 1) for key in file.keys()}  # noqa: SIM118 (no iterator here)
            if self.started and self._main:
                own = {key: file.get_tensor(key) for key, (kind, _) in saved.items() if kind != "reference"}
                self.weights.load_state_dict(own, self._live)
            for key, (kind, name) in saved.items():
                if kind == "reference" and name in self._reference:
                    self._reference[name].data.copy_(file.get_tensor(key))
        if self._reference_step is not None and self.update_ref_model:
            self._write_frozen_reference()


def _checkpoint(args: TrainingArguments, step: int) -> Path:
    assert args.output_dir is not None  # TrainingArguments fills it in
    return Path(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{step}")
