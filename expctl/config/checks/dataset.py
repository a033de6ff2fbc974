"""The dataset: its files, the keywords of its loader, and what the algorithm learns from."""

import re
from typing import Any

from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature
from expctl.data.check import check_dataset as check_options
from expctl.data.check_parts import check_sets_apart
from expctl.data.token_filter import check_token_filter


def check_dataset(experiment: Experiment) -> list[Refusal]:
    """Refuse data that are not there or do not fit the algorithm."""
    dataset, kind = experiment.config["dataset"], experiment.config["algorithm"]["kind"]
    if dataset.get("kind", kind) != kind:
        return [
            Refusal(
                f"the algorithm learns from {kind} data, the dataset gives {dataset['kind']} data",
                where=experiment.set_by("dataset.kind"),
                do="leave dataset.kind out: it follows the algorithm",
            )
        ]
    missing = _missing_keywords(experiment)
    if missing:
        return missing
    if not trains(experiment.config) and dataset.get("eval_path") == dataset.get("path"):
        dataset = {name: value for name, value in dataset.items() if name != "eval_path"}  # nothing is trained on it
    try:
        check_options(dataset)
        check_token_filter(dataset, kind)
        if trains(experiment.config):
            check_sets_apart(dataset)
    except (FileNotFoundError, ValueError) as error:
        what, _, do = str(error).partition("\n")
        return [Refusal(what, where=experiment.set_by(_key_in(str(error), dataset)), do=do[:1].lower() + do[1:])]
    return []


def _key_in(message: str, dataset: dict[str, Any]) -> str:
    """The key of the group that a message begins with, as far as there is one."""
    named = re.match(r"dataset[\w.]+", message)
    key, node = "dataset", dataset
    for name in named[0].split(".")[1:] if named else ():
        if name not in node:
            break
        key, node = f"{key}.{name}", mapping(node[name])
    return key


def _missing_keywords(experiment: Experiment) -> list[Refusal]:
    """Keywords that the loader of the dataset needs and nothing gives, such as `~dataset.kind` leaves behind."""
    dataset = experiment.config["dataset"]
    loader = find(dataset.get("_target_"), experiment.code_folders)
    if loader is None or dataset.get("_args_"):
        return []
    required = [name for name, field in signature(loader).parameters.items() if field.default is None]
    return [
        Refusal(
            f"'dataset.{name}' is missing: {dataset['_target_']} needs it",
            where=experiment.set_by(f"dataset.{name}"),
            do=f"dataset.{name}=..., or leave the override that takes it away out",
        )
        for name in required
        if name not in dataset
    ]
