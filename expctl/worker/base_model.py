"""Lets an adapter name the model that it belongs to: peft writes where the weights were loaded from on this machine."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from expctl.models import resolve
from expctl.runs.files import read_json, write_json


class NameBaseModel(TrainerCallback):
    """Names it in each checkpoint. Before the callback that writes a checkpoint's checksums."""

    def __init__(self, model: dict[str, Any]):
        self._model = model

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            name_base_model(Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}", self._model)


def name_base_model(folder: Path, model: dict[str, Any]) -> None:
    """Let the adapter in a folder name its base as the config does: a hub id, an embedded model, an adapter below it.

    Args:
        folder: of an adapter; one of whole weights is left as it is.
        model: the config's node of the model.
    """
    file = folder / "adapter_config.json"
    if not file.is_file():
        return
    location = resolve(model["path"], revision=model.get("revision") or "main")
    base = model["path"] if location.kind != "folder" else location.source
    if location.adapters:
        base = location.adapters[-1]
    write_json(file, read_json(file) | {"base_model_name_or_path": base, "revision": model.get("revision")})
