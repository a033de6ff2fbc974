"""The model node: number formats, attention, and whose settings go with a path."""

from importlib.util import find_spec

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal, set_by
from expctl.base.suggest import nearest
from expctl.models.locations import EMBEDDED_PREFIX

DTYPES = ("auto", "float32", "bfloat16", "float16")
SHORT = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
# Attention of transformers -> the package that it needs; the package kernels brings it as well.
ATTENTION = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}


def check_model_settings(experiment: Experiment) -> list[Refusal]:
    """Refuse a number format that is none, attention that is not installed, and the toy's settings for a real model."""
    model, sources = experiment.config["model"], experiment.sources
    found = []
    dtype = model.get("dtype")
    if dtype is not None and dtype not in DTYPES:
        where, close = set_by("model.dtype", sources), [SHORT[dtype]] if dtype in SHORT else nearest(dtype, DTYPES)
        what = f"the dtype '{dtype}' is unknown; it can be {', '.join(DTYPES)}"
        found.append(Refusal(what, where=where, nearest=close))
    attention = model.get("attn_implementation")
    package = ATTENTION.get(attention)
    if package and not find_spec(package) and not find_spec("kernels"):
        what = f"attn_implementation={attention} needs the package {package.replace('_', '-')}, which is not installed"
        do = "install it, or model.attn_implementation=sdpa"
        found.append(Refusal(what, where=set_by("model.attn_implementation", sources), do=do))
    return found or _check_toy(experiment)


def _check_toy(experiment: Experiment) -> list[Refusal]:
    """`model=tiny` brings the learning rate and the batch of a toy, which would ruin another model."""
    path = str(experiment.config["model"]["path"])
    if experiment.choices.get("model") != "tiny" or path.startswith(EMBEDDED_PREFIX):
        return []
    what = f"model.path={path} is not the embedded model, and model=tiny would train it with the settings of a toy"
    where = set_by("model.path", experiment.sources)
    return [Refusal(what, where=where, do=f"model=local model.path={path}")]
