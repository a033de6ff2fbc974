"""The model: its files, number format, attention, and whose settings go with a path."""

from importlib.util import find_spec
from pathlib import Path

from expctl import models
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.models.files import check_files
from expctl.models.locations import EMBEDDED_PREFIX

DTYPES = ("auto", "float32", "bfloat16", "float16")
SHORT = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
# Attention of transformers -> the package that it needs; the package kernels brings it as well.
ATTENTION = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}


def check_model(experiment: Experiment) -> list[Refusal]:
    """Refuse a model that is not there, and settings that cannot be used with it."""
    model = experiment.config["model"]
    try:
        location = models.resolve(model["path"], revision=model.get("revision") or "main")
        if location.kind == "folder":
            check_files(Path(location.source))
    except (FileNotFoundError, ValueError) as error:
        return [Refusal(str(error), where=experiment.set_by("model.path"))]
    return _check_dtype(experiment) + _check_attention(experiment) or _check_toy(experiment)


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


def _check_toy(experiment: Experiment) -> list[Refusal]:
    """`model=tiny` brings the learning rate and the batch of a toy, which would ruin another model."""
    path = str(experiment.config["model"]["path"])
    if experiment.choices.get("model") != "tiny" or path.startswith(EMBEDDED_PREFIX):
        return []
    return [
        Refusal(
            f"model.path={path} is not the embedded model, and model=tiny would train it with the settings of a toy",
            where=experiment.set_by("model.path"),
            do=f"model=local model.path={path}",
        )
    ]
