"""Makes a checkpoint exact where the teacher is an average of the student's weights: that average is saved too."""

import os
from typing import TYPE_CHECKING, Any

import torch
from peft import set_peft_model_state_dict

from expctl.algorithms.rollout_checkpoint import checkpoint_folder, write_state

if TYPE_CHECKING:
    from transformers import Trainer
else:
    Trainer = object

TEACHER = "teacher.pt"
AVERAGE = "ema"


class TeacherCheckpoint(Trainer):
    """Before a trainer of TRL that teaches itself (`teacher_model_kind="ema"`): saves the average, and restores it.

    One file of the size of the weights that are averaged. A checkpoint without it begins the average anew.
    """

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        if self._has_average() and self.is_world_process_zero():
            folder = checkpoint_folder(self, trial)
            os.makedirs(folder, exist_ok=True)
            adapter = self._adapter_average()
            teacher: Any = self._teacher()
            write_state(adapter.shadow_weights if adapter else teacher.state_dict(), os.path.join(folder, TEACHER))
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        path = os.path.join(str(checkpoint), TEACHER)
        if not self._has_average() or not os.path.exists(path):
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        adapter = self._adapter_average()
        if adapter is None:
            self._teacher().load_state_dict(state)
            return
        student: Any = self.accelerator.unwrap_model(self.model)
        if adapter.teacher_adapter_name in student.peft_config:
            adapter._initialized = True  # it came with the checkpoint's adapters
        adapter._initialize_teacher_adapter()
        adapter.shadow_weights = {name: value.to(self.args.device) for name, value in state.items()}
        set_peft_model_state_dict(student, adapter.shadow_weights, adapter_name=adapter.teacher_adapter_name)

    def evaluate(self, *positional: Any, **keywords: Any) -> dict[str, float]:
        """As `transformers.Trainer.evaluate`, also before a training, which TRL waits for with an adapter's average."""
        adapter = self._adapter_average()
        if adapter is not None:
            adapter._initialize_teacher_adapter()
        return super().evaluate(*positional, **keywords)

    def _has_average(self) -> bool:
        return bool(getattr(self.args, "teacher_model_kind", "") == AVERAGE)

    def _adapter_average(self) -> Any:
        """TRL's callback that averages an adapter; None where all weights are averaged."""
        callbacks = self.callback_handler.callbacks
        return next((callback for callback in callbacks if hasattr(callback, "shadow_weights")), None)

    def _teacher(self) -> torch.nn.Module:
        own: Any = self
        teacher: torch.nn.Module = self.accelerator.unwrap_model(own.teacher_model)
        return teacher
