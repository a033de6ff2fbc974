"""Weights of a checkpoint under the names that transformers saves them by, where these are not the model's own.

A model that sees, or a mixture of experts, is saved by the names and in the form of its published files. The Trainer of
transformers (5.23) reads a checkpoint by the names of the model in memory, and goes on without the weights that it does
not find: a resumed training would begin anew, and the best model at the end be the last one.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import PreTrainedModel, Trainer
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from expctl.worker.resume_state import required_attribute


def load_by_saved_names(trainer: Trainer) -> None:
    """Have a trainer load its checkpoints, and the best of them, as transformers loads a model."""
    hooked: Any = trainer  # Any: methods are replaced, since transformers has no hooks for these
    resume, load_best = (
        required_attribute(trainer, "_load_from_checkpoint"),
        required_attribute(trainer, "_load_best_model"),
    )

    def resume_by_saved_names(checkpoint: str, *given: Any, **keywords: Any) -> None:
        resume(checkpoint, *given, **keywords)
        _load(trainer, Path(checkpoint))

    def load_best_by_saved_names() -> None:
        load_best()
        _load(trainer, Path(str(trainer.state.best_model_checkpoint)))

    hooked._load_from_checkpoint = resume_by_saved_names
    hooked._load_best_model = load_best_by_saved_names


def _load(trainer: Trainer, folder: Path) -> None:
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if not isinstance(model, PreTrainedModel) or trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return  # adapters have names of their own, and a model that is split is loaded by what splits it
    if saved_names(folder) <= model.state_dict().keys():
        return
    model.load_state_dict(type(model).from_pretrained(folder, dtype="auto").state_dict())


def saved_names(folder: Path) -> set[str]:
    """The names of the weights in a folder; empty where there are none."""
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if index.is_file():
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    file = folder / SAFE_WEIGHTS_NAME
    if not file.is_file():
        return set()
    with safe_open(file, "pt") as weights:
        return set(weights.keys())
