"""The moments of an update at which most memory may be in use, and what each of them holds.

Parts are named as a person thinks of them; bytes are of one device. With TRL 1.16's fused head no logits of a whole
batch exist: a tile of 4096 tokens by 32768 words of the vocabulary is all there is of them at a time.
"""

from expctl.plan import layer
from expctl.plan.layer import FLOAT32
from expctl.plan.optimizers import optimizer_of, state_bytes, step_bytes, trained_format
from expctl.plan.workload import Workload

TILE_TOKENS = 4096
TILE_WORDS = 32768
# Tiles in float32 that the head's backward pass holds at once where torch folds them and not Triton.
TORCH_TILES = 7
Parts = dict[str, int]


def update_moments(workload: Workload) -> dict[str, Parts]:
    """Each moment's parts, in bytes."""
    return {
        "the head in the forward pass": _forward(workload),
        "the head in the backward pass": _head(workload),
        "the last layer in the backward pass": _backward(workload, layers_done=0),
        "the first layer in the backward pass": _backward(workload, layers_done=workload.shape.layers - 1),
        "the embedding in the backward pass": _embedding(workload),
        "the optimizer's step": _step(workload),
    }


def resting(workload: Workload) -> Parts:
    """What is there the whole time: weights, states, a reference model, what replicas exchange."""
    weight, shape, shards = workload.precision.weights, workload.shape, workload.shards
    held = 0 if workload.offloaded else 1
    adapter = FLOAT32 * workload.adapter.parameters(shape) if workload.adapter else 0
    weights = (weight * shape.parameters + adapter) // shards * held
    parts = {"weights": weights, "optimizer": state_bytes(workload) // shards * held}
    if workload.sharding == "zero3" and workload.precision.autocast:
        parts["weights"] += 2 * workload.trained // shards * held  # a copy in bfloat16 to be computed with
    if workload.reference:
        parts["reference model"] = weight * shape.parameters // shards * held
    if workload.processes > 1 and not workload.sharding:
        parts["gradient buckets"] = trained_format(workload) * workload.trained
    return parts | dict(workload.besides)


def _forward(workload: Workload) -> Parts:
    """The end of the forward pass: autocast still holds its copies of the weights, and the head begins."""
    shape, precision = workload.shape, workload.precision
    parts = resting(workload) | {"gradients": _earlier_gradients(workload)}
    parts["activations"] = _activations(workload) + _last_hidden(workload)
    head = _tile(workload) + _head_weights(workload)
    passing = workload.tokens * layer.passing_forward(workload) if workload.checkpointing else 0
    parts["logits"] = head
    parts["copies of weights"] = cast_weights(workload)
    if passing > head:
        parts["logits"] = 0
        parts["activations"] += passing
    if not workload.checkpointing and precision.recast:
        parts["copies of weights"] = _all_casts(workload)
    return parts | _gathered(workload, shape.layer)


def _head(workload: Workload) -> Parts:
    """The head's backward pass: the gradient of its whole matrix in float32, and one of what it read."""
    shape = workload.shape
    parts = resting(workload) | {"gradients": _earlier_gradients(workload)}
    parts["activations"] = _activations(workload) + _last_hidden(workload)
    parts["copies of weights"] = _kept_casts(workload)
    parts["logits"] = _tile(workload) + _head_weights(workload)
    gradient = FLOAT32 * shape.hidden * workload.rows * workload.scored
    if not workload.gpu:
        parts["logits"] += _torch_tiles(workload)
    parts["activations"] += gradient
    if workload.adapter is None:
        parts["gradients"] += FLOAT32 * shape.embedding
        if workload.precision.weights < FLOAT32:
            parts["gradients"] += workload.precision.weights * shape.embedding
    return parts | _gathered(workload, 0)


def _backward(workload: Workload, layers_done: int) -> Parts:
    """A layer's backward pass; those after it are done, their gradients are there and their activations gone."""
    shape = workload.shape
    left = shape.layers - layers_done
    own = layer.kept(workload) + layer.passing(workload)
    if workload.checkpointing:
        activations = workload.tokens * (left * layer.layer_input(workload) + own)
        casts = _casts_of_layer(workload)
    else:
        kept_of_all = left * (layer.kept(workload) + layer.layer_input(workload))
        activations = workload.tokens * (kept_of_all + layer.passing(workload))
        casts = left * _casts_of_layer(workload)
    parts = resting(workload) | {"gradients": _gradients_at(workload, layers_done)}
    parts["activations"] = activations
    parts["copies of weights"] = casts
    return parts | _gathered(workload, 2 * shape.layer)


def _embedding(workload: Workload) -> Parts:
    """The end of the backward pass: a tied matrix has a gradient as a head and one as an embedding."""
    shape, weight = workload.shape, workload.precision.weights
    parts = resting(workload)
    parts["gradients"] = _gradients_at(workload, shape.layers)
    if workload.adapter is None:
        parts["gradients"] += weight * shape.embedding
    parts["activations"] = workload.tokens * layer.layer_input(workload)
    return parts | _gathered(workload, 0)


def _step(workload: Workload) -> Parts:
    parts = resting(workload)
    held = 0 if workload.offloaded else 1
    optimizer = optimizer_of(workload)
    gradients = trained_format(workload) * workload.trained // workload.shards * held
    parts["gradients"] = gradients if optimizer.gradients else 0
    parts["optimizer"] += step_bytes(workload) // workload.shards * held
    return parts


def _earlier_gradients(workload: Workload) -> int:
    """Of micro-batches before this one."""
    if workload.micro_batches < 2 or workload.offloaded or not optimizer_of(workload).gradients:
        return 0
    return trained_format(workload) * workload.trained // workload.shards


def _gradients_at(workload: Workload, layers_done: int) -> int:
    """Gradients when some layers, from the last, have had their backward pass."""
    shape, held = workload.shape, 0 if workload.offloaded else 1
    optimizer, earlier = optimizer_of(workload), _earlier_gradients(workload)
    if workload.adapter:
        done = workload.trained * layers_done // shape.layers
        return max(earlier, FLOAT32 * done // workload.shards * held)
    weight = workload.precision.weights
    # The head's waits beside what has been summed up until the embedding's comes; untied it is like any other.
    head = weight * shape.embedding // (1 if shape.tied else workload.shards)
    if not optimizer.gradients:
        return head
    if earlier:
        return earlier + (head if shape.tied else weight * shape.layer)
    return head + weight * shape.layer * layers_done // workload.shards * held


def _activations(workload: Workload) -> int:
    """What all layers keep."""
    of_layer = layer.layer_input(workload)
    if not workload.checkpointing:
        of_layer += layer.kept(workload)
    return workload.tokens * workload.shape.layers * of_layer


def _last_hidden(workload: Workload) -> int:
    """The last norm's input and factors, what it gives, and of that the positions that are scored."""
    hidden, given = workload.shape.hidden, layer.stream(workload)
    scored = workload.rows * workload.scored if workload.gpu else workload.tokens
    factors = 0 if workload.adapter else given
    return hidden * (workload.tokens * (FLOAT32 + factors + given) + scored * given)


def _tile(workload: Workload) -> int:
    """The buffer of logits: as wide as a tile however small the vocabulary is."""
    scored = workload.rows * workload.scored if workload.gpu else workload.tokens
    return min(scored, TILE_TOKENS) * TILE_WORDS * workload.precision.computed


def _torch_tiles(workload: Workload) -> int:
    words = min(TILE_WORDS, workload.shape.vocabulary)
    return TORCH_TILES * min(workload.tokens, TILE_TOKENS) * words * FLOAT32


def _head_weights(workload: Workload) -> int:
    """The head's matrix in the format of the product, a tile of it."""
    if not workload.precision.recast:
        return 0
    words = min(TILE_WORDS, workload.shape.vocabulary)
    return words * workload.shape.hidden * workload.precision.computed


def cast_weights(workload: Workload) -> int:
    """Autocast's copies of the layers' matrices, which it holds for a forward pass: of trained ones only."""
    if not workload.precision.recast and not (workload.adapter and workload.precision.autocast):
        return 0
    numbers = workload.adapter.parameters(workload.shape) if workload.adapter else _matrices(workload)
    return workload.precision.computed * numbers


def _matrices(workload: Workload) -> int:
    return workload.shape.layers * workload.shape.layer_matrices


def _casts_of_layer(workload: Workload) -> int:
    """Copies of a layer's matrices, kept for its backward pass; what a sharded model has gathered is let go again."""
    if not workload.precision.recast or workload.sharding:
        return 0
    return workload.precision.computed * workload.shape.layer_matrices


def _all_casts(workload: Workload) -> int:
    return workload.shape.layers * _casts_of_layer(workload)


def _kept_casts(workload: Workload) -> int:
    return 0 if workload.checkpointing else _all_casts(workload)


def _gathered(workload: Workload, numbers: int) -> Parts:
    """Weights that a sharded model gathers: `numbers` of layers, and the embedding's matrix with the head's."""
    if not workload.sharding:
        return {}
    shape, computed = workload.shape, workload.precision.computed
    root = shape.embedding * (1 if shape.tied else 2)
    return {"gathered weights": computed * (numbers + root)}
