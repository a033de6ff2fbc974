"""`model.thinking`: whether the model's chat template has the switch that it turns."""

import json
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.thinking import FIELD, SWITCH
from expctl.models.locations import folder_of

KEY = "model.thinking"
# Loaders whose prompts are plain texts, so that no template renders them.
PLAIN = ("expctl.data.arithmetic.load",)


def check_thinking(experiment: Experiment) -> list[Refusal]:
    """Refuse `model.thinking` where the template has no such switch, is not used, or is told otherwise by `args`."""
    thinking = experiment.config["model"].get("thinking")
    if thinking is None:
        return []
    return _check_template(experiment, thinking) or _check_use(experiment, thinking)


def _check_template(experiment: Experiment, thinking: bool) -> list[Refusal]:
    path, folder = experiment.config["model"]["path"], folder_of(experiment.config["model"])
    if folder is None:
        return []  # not here yet: the worker looks at it before it begins
    template = chat_template(folder)
    if SWITCH in template:
        return []
    lacks = f"has no switch '{SWITCH}'" if template else "is missing"
    what = f"{KEY}={str(thinking).lower()}, and the chat template of {path} {lacks}"
    return [
        Refusal(what, where=experiment.set_by(KEY), do="model.thinking=null: the model writes as its template has it")
    ]


def _check_use(experiment: Experiment, thinking: bool) -> list[Refusal]:
    where = experiment.set_by(KEY)
    told = mapping(experiment.config["args"].get(FIELD)).get(SWITCH, thinking)
    if told != thinking:
        what = f"{KEY} is {thinking} and args.{FIELD} has {SWITCH}: {told}"
        return [Refusal(what.replace("True", "true").replace("False", "false"), where=where, do="set one of them")]
    if KEY in experiment.sources and experiment.config["dataset"].get("_target_") in PLAIN:
        dataset = experiment.choices.get("dataset")
        what = f"{KEY} would do nothing: the prompts of dataset={dataset} are plain texts, which no template renders"
        return [Refusal(what, where=where, do="a dataset of conversations (gsm8k, reasoning_gym), or leave it out")]
    return []


def chat_template(folder: Path) -> str:
    """All chat templates of a model's folder, one after the other; empty where there is none."""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        settings = {}
    texts = [_text(mapping(settings).get("chat_template"))]
    for file in sorted([*folder.glob("chat_template*.jinja"), *folder.glob("additional_chat_templates/*.jinja")]):
        texts.append(file.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(filter(None, texts))


def _text(template: Any) -> str:
    """A template as tokenizer_config.json has it: a text, or a list of several with names."""
    if isinstance(template, list):
        return "\n".join(str(mapping(one).get("template")) for one in template)
    return template if isinstance(template, str) else ""
