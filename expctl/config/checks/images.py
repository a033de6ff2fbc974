"""Images in the data: a model that sees, and a trainer that takes them."""

from pathlib import Path
from typing import Any

from expctl import models
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.checks.settings import TrainerSettings
from expctl.config.thinking import SAMPLES
from expctl.data.formats import UNREADABLE
from expctl.data.images import COLUMNS
from expctl.data.located import LOADERS, training_source
from expctl.data.parts import parts_of
from expctl.data.peek import columns_of
from expctl.models.files import config_of
from expctl.models.seeing import sees

# Trainers of TRL that take images, and what builds on them.
TAKE_IMAGES = ("SFTTrainer", "DPOTrainer", "GRPOTrainer", "RLOOTrainer")


def check_images(experiment: Experiment) -> list[Refusal]:
    """Refuse images for a model that reads texts alone, and for a trainer that takes none."""
    dataset = experiment.config["dataset"]
    parts = [("dataset", dataset), *((f"dataset.{key}", node) for key, node in parts_of(dataset))]
    found = [(key, column) for key, node in parts if (column := _image_column(mapping(node)))]
    if not found:
        return []
    key, column = found[0]
    where = experiment.set_by(f"{key}.path")
    if _is_blind(experiment.config["model"]):
        path = experiment.config["model"]["path"]
        what = f"the data have a column '{column}', and {path} reads texts alone"
        do = "model=local model.path=<a vision-language model>, or take the column out of the data"
        return [Refusal(what, where=f"{where}, {experiment.set_by('model.path')}", do=do)]
    callbacks = mapping(experiment.config["callbacks"]).values()
    if any(mapping(node).get("_target_") == SAMPLES for node in callbacks):
        what = f"the data have a column '{column}', and callbacks=completions samples without images"
        return [
            Refusal(what, where=experiment.set_by("callbacks"), do="leave it out; expctl eval RUN samples with them")
        ]
    names = {part.rpartition(".")[2] for part in TrainerSettings(experiment).parts}
    if names.isdisjoint(TAKE_IMAGES):
        what = f"the data have a column '{column}', and algorithm={experiment.choices.get('algorithm')} takes no images"
        return [
            Refusal(what, where=where, do="sft, dpo, grpo, gfpo, gspo or rloo do; or take the column out of the data")
        ]
    return []


def _image_column(dataset: dict[str, Any]) -> str | None:
    """The column with images of data files of the user's; None where there is none that can be seen from here."""
    if dataset.get("_target_") not in LOADERS:
        return None
    try:
        source = training_source(dataset)
        names = columns_of(source) if source is not None else []
    except (*UNREADABLE, TypeError):
        return None  # what is wrong with the files is said elsewhere
    return next((name for name in COLUMNS if name in names), None)


def _is_blind(model: dict[str, Any]) -> bool:
    """Whether a model is known to read texts alone."""
    try:
        location = models.resolve(model["path"], revision=model.get("revision") or "main")
    except (OSError, ValueError):
        return False
    config = config_of(Path(location.source)) if location.kind != "hub" else {}
    return bool(config) and not sees(config)
