"""The model: its files, number format, attention, and whose settings go with a path."""

import json
from importlib.util import find_spec
from pathlib import Path

from expctl import models
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping, sequence
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.models.files import check_files, config_of
from expctl.models.locations import EMBEDDED_PREFIX
from expctl.models.reward_head import CLASSIFIER, labels_of
from expctl.plan.model_config import FAMILIES, family_name, model_config

DTYPES = ("auto", "float32", "bfloat16", "float16")
SHORT = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
# Attention of transformers -> the package that it needs; the package kernels brings it as well.
ATTENTION = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
# What tells two models of one family apart. A vocabulary may have been extended.
SIZES = ("hidden_size", "num_hidden_layers")


def check_model(experiment: Experiment) -> list[Refusal]:
    """Refuse a model that is not there, and settings that cannot be used with it."""
    model = experiment.config["model"]
    if model.get("run") and (refusals := _check_run(experiment)):
        return refusals
    try:
        location = models.resolve(model["path"], revision=model.get("revision") or "main")
        if location.kind == "folder":
            check_files(Path(location.source))
    except (FileNotFoundError, ValueError) as error:
        return [Refusal(str(error), where=experiment.set_by("model.path"))]
    if location.kind != "hub" and (refusals := _check_head(experiment, Path(location.source))):
        return refusals
    return _check_dtype(experiment) + _check_attention(experiment) or _check_option(experiment)


def _check_head(experiment: Experiment, folder: Path) -> list[Refusal]:
    """A head for labels where tokens are to be predicted, or one for several labels where one score is."""
    config, path = config_of(folder), experiment.config["model"]["path"]
    architectures = [str(name) for name in sequence(config.get("architectures"))]
    if not any(name.endswith(CLASSIFIER) for name in architectures):
        return []
    where, labels = experiment.set_by("model.path"), labels_of(config)
    if experiment.config["algorithm"].get("task_type") != "SEQ_CLS":
        what = f"model.path={path} is a classifier ({architectures[0]}), which has no head that predicts tokens"
        do = "the language model that it was made from; a reward model goes to reward=model reward_model.path=..."
        return [Refusal(what, where=where, do=do)]
    if labels == 1:
        return []
    what = f"model.path={path} has {labels} labels, and a reward is one number"
    return [Refusal(what, where=where, do="a language model, which gets a new head, or a classifier with one label")]


def _check_run(experiment: Experiment) -> list[Refusal]:
    """`model=run:RUN` names the weights, and the folder follows from it."""
    typed = [key for key in ("model.path", "model.run", "model.revision") if key in experiment.sources]
    return [
        Refusal(
            f"'{key}' does not go with model=run:RUN, which says which weights are loaded",
            where=experiment.set_by(key),
            do="leave it out, or model=local model.path=... for a folder or hub id",
        )
        for key in typed
    ]


def _check_dtype(experiment: Experiment) -> list[Refusal]:
    dtype = experiment.config["model"].get("dtype")
    if dtype is None or dtype in DTYPES:
        return []
    return [
        Refusal(
            f"the dtype '{dtype}' is unknown; it can be {', '.join(DTYPES)}",
            where=experiment.set_by("model.dtype"),
            nearest=[SHORT[dtype]] if dtype in SHORT else nearest(dtype, DTYPES),
        )
    ]


def _check_attention(experiment: Experiment) -> list[Refusal]:
    attention = experiment.config["model"].get("attn_implementation")
    package = ATTENTION.get(attention)
    if package is None or find_spec(package) or find_spec("kernels"):
        return []
    return [
        Refusal(
            f"attn_implementation={attention} needs the package {package.replace('_', '-')}, which is not installed",
            where=experiment.set_by("model.attn_implementation"),
            do="install it, or model.attn_implementation=sdpa",
        )
    ]


def _check_option(experiment: Experiment) -> list[Refusal]:
    """A model's option brings the settings and the name of that model, which another one must not have."""
    option, model = experiment.choices.get("model") or "", experiment.config["model"]
    path = str(model["path"])
    if option == "tiny" and not path.startswith(EMBEDDED_PREFIX) and "run" not in model:
        what = f"model.path={path} is not the embedded model, and model=tiny would train it with the settings of a toy"
    elif "model.path" in experiment.sources and (other := _other_shape(option, path)):
        what = f"model.path={path} has {other}: it would get the settings and the name of another model"
    else:
        return []
    return [Refusal(what, where=experiment.set_by("model.path"), do=f"model=local model.path={path}")]


def _other_shape(option: str, path: str) -> str:
    """In which sizes a model differs from that of an option whose shape is known; empty where it does not."""
    known = mapping(json.loads(FAMILIES.read_text(encoding="utf-8")).get(family_name(option)))
    if not known:
        return ""
    try:
        found = model_config(path).values
    except Refusal:  # on the hub, where it is to be fetched from
        return ""
    names = [name for name in SIZES if name in found and found[name] != known[name]]
    return ", ".join(f"{name}={found[name]} (model={option} has {known[name]})" for name in names)
