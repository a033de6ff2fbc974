"""Number formats that meet in one computation and that torch does not take together."""

from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.checks.settings import TrainerSettings

# Caches of transformers that are allocated beforehand, in the format of the weights. The others grow in whatever comes.
STATIC_CACHES = (
    *("static", "offloaded_static", "sliding_window"),
    *("hybrid", "hybrid_chunked", "offloaded_hybrid", "offloaded_hybrid_chunked"),
)
# Key of `args` that has torch compute in another format than that of the weights -> the format.
COMPUTED_IN = {"bf16": "bfloat16", "fp16": "float16"}


def check_number_formats(experiment: Experiment) -> list[Refusal]:
    """Refuse a cache of one number format for keys and values of another."""
    settings = TrainerSettings(experiment)
    cache, computed = settings.args["cache_implementation"], _computed_in(settings)
    weights = _weights_in(experiment.config["model"])
    if cache not in STATIC_CACHES or not _samples_itself(settings) or computed in (None, weights) or weights is None:
        return []
    return [
        Refusal(
            f"args.cache_implementation={cache} allocates the cache in the format of the weights, {weights}, and keys "
            f"and values come in {computed}, in which the model computes: the first sampled token would fail",
            where=settings.where("args.cache_implementation"),
            do=f"model.dtype={computed} (weights and optimizer in it, too), or args.cache_implementation=dynamic",
        )
    ]


def _samples_itself(settings: TrainerSettings) -> bool:
    """Whether the trainer's own model samples, one batch at a time, and not an engine with a cache of its own."""
    return not settings.args["use_vllm"] and not settings.args["use_transformers_continuous_batching"]


def _computed_in(settings: TrainerSettings) -> str | None:
    """The format that autocast computes in; None where that is the format of the weights."""
    chosen = [number_format for key, number_format in COMPUTED_IN.items() if settings.args[key]]
    return chosen[0] if chosen else None


def _weights_in(model: dict[str, Any]) -> str | None:
    """The format that the weights are loaded in; None where only the checkpoint says."""
    dtype = model.get("dtype") or "float32"
    return None if dtype == "auto" else str(dtype)
