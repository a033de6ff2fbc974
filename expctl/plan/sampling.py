"""The moments of a sampling at which most memory may be in use."""

from expctl.plan import layer
from expctl.plan.layer import FLOAT32
from expctl.plan.update import Parts, cast_weights, resting
from expctl.plan.workload import Sampling, Workload

TILE_TOKENS = 4096
TILE_WORDS = 32768


def sampling_moments(workload: Workload, sampling: Sampling) -> dict[str, Parts]:
    """Each moment's parts, in bytes."""
    moments = {}
    if sampling.engine_bytes is not None:
        moments["the engine samples"] = resting(workload) | {"engine": sampling.engine_bytes}
    elif sampling.rows:
        moments["the prompts are read"] = _prompts(workload, sampling)
        moments["the last layer of the last token"] = _last_layer(workload, sampling)
        moments["the head of the last token"] = _last_head(workload, sampling)
        moments["the last token is drawn"] = _draw(workload, sampling)
    if sampling.scored_rows:
        moments["log-probabilities are taken"] = _scoring(workload, sampling)
    return moments


def cache_bytes(workload: Workload, rows: int, length: int) -> int:
    """Keys and values of all layers.

    transformers keeps both in the format of the keys, which the rotation by positions has taken to that of the residual
    stream: float32 where the weights are, whatever they are multiplied in.
    """
    return workload.shape.layers * _cache_of_layer(workload, rows, length)


def _cache_of_layer(workload: Workload, rows: int, length: int) -> int:
    return 2 * rows * length * workload.shape.keys * layer.stream(workload)


def _prompts(workload: Workload, sampling: Sampling) -> Parts:
    tokens = sampling.rows * sampling.prompt
    return resting(workload) | {
        "generation cache": cache_bytes(workload, sampling.rows, sampling.prompt),
        "activations": tokens * layer.passing_forward(workload),
        "copies of weights": _casts(workload),
    }


def _last_layer(workload: Workload, sampling: Sampling) -> Parts:
    """A cache that grows by a token is copied, a layer's keys at a time; attention may want a copy in two bytes."""
    of_layer = _cache_of_layer(workload, sampling.rows, sampling.length)
    return resting(workload) | {
        "generation cache": cache_bytes(workload, sampling.rows, sampling.length) + of_layer // 2,
        "activations": sampling.rows * layer.passing_forward(workload),
        "copies of weights": _casts(workload),
    }


def _last_head(workload: Workload, sampling: Sampling) -> Parts:
    shape, precision = workload.shape, workload.precision
    head = precision.computed * shape.embedding if precision.recast else 0  # of a frozen head for a moment
    logits = sampling.rows * shape.vocabulary * (precision.computed + FLOAT32)
    return resting(workload) | {
        "generation cache": cache_bytes(workload, sampling.rows, sampling.length),
        "logits": logits,
        "copies of weights": _casts(workload) + head,
    }


def _draw(workload: Workload, sampling: Sampling) -> Parts:
    """The logits of one token, a copy of them, divided by the temperature, and their probabilities."""
    return resting(workload) | {
        "generation cache": cache_bytes(workload, sampling.rows, sampling.length),
        "logits": 4 * FLOAT32 * sampling.rows * workload.shape.vocabulary,
    }


def _scoring(workload: Workload, sampling: Sampling) -> Parts:
    """A forward pass without gradients over a micro-batch of what was sampled."""
    shape, computed = workload.shape, workload.precision.computed
    tokens = sampling.scored_rows * sampling.length
    scored = sampling.scored_rows * sampling.completion if workload.gpu else tokens
    tile = min(scored, TILE_TOKENS) * TILE_WORDS * computed
    passing = tokens * layer.passing_forward(workload)
    parts = resting(workload) | {"copies of weights": _casts(workload)}
    if sampling.engine_bytes is not None and not sampling.engine_sleeps:
        parts["engine"] = sampling.engine_bytes
    if passing > tile:
        return parts | {"activations": passing}
    return parts | {"activations": tokens * 2 * layer.layer_input(workload) + scored * shape.hidden, "logits": tile}


def _casts(workload: Workload) -> int:
    """Copies that autocast holds while a forward pass lasts, and what a sharded model gathers to sample."""
    shape, computed = workload.shape, workload.precision.computed
    if workload.sharding == "zero3":
        return computed * shape.parameters  # TRL gathers all of it (ds3_gather_for_generation)
    if workload.sharding:
        return computed * (2 * shape.layer + (1 if shape.tied else 2) * shape.embedding)
    return cast_weights(workload)


def engine_needs(workload: Workload, sampling: Sampling) -> int:
    """The least that an engine of vLLM can begin with: its own weights in two bytes, and the cache of one row."""
    if sampling.engine_bytes is None or not workload.gpu:
        return 0
    return 2 * workload.shape.parameters + 2 * 2 * workload.shape.layers * workload.shape.keys * sampling.length
