"""A*-PO (arXiv 2505.20686) as TRL has it, whose estimated values are part of every checkpoint."""

import os
from typing import Any

import torch
from trl.data_utils import maybe_apply_chat_template
from trl.experimental import a2po

from expctl.algorithms.evaluation_metrics import EvaluationMetrics
from expctl.algorithms.rollout_checkpoint import checkpoint_folder, write_state

VALUES = "optimal_values.pt"


class A2POTrainer(EvaluationMetrics, a2po.A2POTrainer):
    """TRL's `A2POTrainer`, which resumes to the last bit and does not estimate values again.

    A checkpoint holds the value of every prompt, and which prompts are trained on: those that the reference model
    solved at least once. Without that file the values are estimated as TRL does it, by new samples.
    """

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        if self.is_world_process_zero():
            folder = checkpoint_folder(self, trial)
            os.makedirs(folder, exist_ok=True)
            rows: Any = self.train_dataset
            state = {"values": self._optimal_values, "trained_on": list(map(self._text, rows))}
            write_state(state, os.path.join(folder, VALUES))
        super()._save_checkpoint(model, trial)

    def train(self, resume_from_checkpoint: str | bool | None = None, *positional: Any, **keywords: Any) -> Any:
        """As `transformers.Trainer.train`."""
        path = os.path.join(str(resume_from_checkpoint), VALUES)
        if os.path.exists(path):
            state = torch.load(path, weights_only=True)
            trained_on = set(state["trained_on"])
            self._optimal_values = state["values"]
            rows: Any = self.train_dataset
            self.train_dataset = rows.filter(lambda row: self._text(row) in trained_on)
        return super().train(resume_from_checkpoint, *positional, **keywords)

    def _text(self, row: dict[str, Any]) -> str:
        """The prompt as the values are kept by."""
        tokenizer: Any = self.processing_class
        return str(maybe_apply_chat_template(row, tokenizer)["prompt"])
