"""Bytes of a token in one layer: what is kept for the backward pass, and what passes by.

Read from transformers' Qwen3 and Llama, operation by operation: which tensor autograd keeps, in which format, and which
two operations keep one and the same. Under autocast each matrix product makes a copy of its input in two bytes.
"""

from expctl.plan.shape import Linear
from expctl.plan.workload import Workload

FLOAT32 = 4
# The matrices that read one and the same tensor.
READ_TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def stream(workload: Workload) -> int:
    """Bytes a number of what goes from layer to layer: the embedding's format."""
    return workload.precision.weights


def layer_input(workload: Workload) -> int:
    """Bytes of what a layer reads: all that is kept of it under checkpointing."""
    return stream(workload) * workload.shape.hidden


def kept(workload: Workload) -> int:
    """Bytes that a layer keeps of a token, its input left out."""
    shape, computed = workload.shape, workload.precision.computed
    attention = computed * (2 * shape.queries + 2 * shape.keys) + FLOAT32 * shape.heads
    if workload.eager_attention:
        attention += workload.length * shape.heads * (FLOAT32 + computed)
    gated = 3 * computed * shape.mlp_width  # gate, its activation, up
    norms = _norms(workload)
    return norms + _head_norms(workload) + attention + gated + _inputs_of_linears(workload)


def passing(workload: Workload) -> int:
    """The most bytes of a token that are there for a moment in a layer's backward pass, above what it has kept.

    The gradients of gate and up beside that of the residual stream; or, where a layer is computed again up to an
    adapter on the last matrix of its MLP, what that adapter reads and what the pass so far has not let go of.
    """
    gradients = 2 * workload.precision.computed * workload.shape.mlp_width
    incoming = layer_input(workload)
    if workload.checkpointing and _adapted(workload, "down_proj"):
        return incoming + max(gradients, _recomputed_to_the_last_adapter(workload))
    return incoming + gradients


def _recomputed_to_the_last_adapter(workload: Workload) -> int:
    hidden, width = workload.shape.hidden, workload.shape.mlp_width
    residual, computed = stream(workload), workload.precision.computed
    # The input of the MLP's last matrix, and the adapter's copy of it in float32.
    read = (computed + FLOAT32) * width if _recasts(workload, computed) else 0
    # The MLP's input; what the matrix has given without the adapter; the gradient as the adapter takes it.
    held = residual + 2 * computed
    if residual != computed:
        held += computed  # the gradient in two bytes
    if residual != FLOAT32:
        held += residual  # the residual stream, of which the norm has kept a wider copy
    return read + held * hidden


def passing_forward(workload: Workload) -> int:
    """The most bytes of a token in a layer's forward pass of which nothing is kept."""
    shape, computed = workload.shape, workload.precision.computed
    norm = (FLOAT32 + stream(workload)) * shape.hidden
    mlp = 3 * computed * shape.mlp_width + (computed + stream(workload)) * shape.hidden
    attention = (FLOAT32 + computed) * (shape.queries + shape.keys) + computed * shape.keys
    if workload.eager_attention:
        attention += workload.length * shape.heads * (FLOAT32 + computed)
    return stream(workload) * shape.hidden + max(norm, mlp, attention)


def _norms(workload: Workload) -> int:
    """The two norms: each keeps its input in float32, and what the trained factors multiply."""
    shape, residual = workload.shape, stream(workload)
    first = 0 if residual == FLOAT32 else FLOAT32 * shape.hidden  # else it is the layer's input itself
    second = FLOAT32 * shape.hidden
    factors = 0 if workload.adapter else 2 * residual * shape.hidden
    return first + second + factors


def _head_norms(workload: Workload) -> int:
    """The norms of queries and keys, where the family has them."""
    shape = workload.shape
    if not shape.normed_heads:
        return 0
    factors = 0 if workload.adapter else workload.precision.computed
    return (FLOAT32 + factors) * (shape.queries + shape.keys)


def _inputs_of_linears(workload: Workload) -> int:
    """What the matrices keep of their inputs, for their own gradients."""
    linears = {linear.name: linear for linear in workload.shape.linears}
    together = [[linears[name] for name in names] for names in READ_TOGETHER]
    total = sum(_inputs(workload, group, stream(workload)) for group in together)
    output = linears["o_proj"]
    if _adapted(workload, "o_proj") and _recasts(workload, workload.precision.computed):
        total += workload.precision.computed * output.inputs  # else it is what the attention keeps as its result
    down = _inputs(workload, [linears["down_proj"]], workload.precision.computed)
    return total + down * max(workload.shape.experts_a_token, 1)


def _inputs(workload: Workload, group: list[Linear], given: int) -> int:
    """Bytes kept of the one input of a group of matrices. `given`: bytes a number in which it comes."""
    trained = [linear for linear in group if workload.adapter is None or _adapted(workload, linear.name)]
    if not trained:
        return 0
    copies = len(trained) if _recasts(workload, given) else 1
    return copies * workload.precision.computed * group[0].inputs


def _recasts(workload: Workload, given: int) -> bool:
    """Whether each matrix makes its own copy of what it reads. An adapter takes it to float32 first."""
    if workload.adapter and workload.precision.autocast:
        return True
    return given != workload.precision.computed


def _adapted(workload: Workload, name: str) -> bool:
    return workload.adapter is not None and name in workload.adapter.targets
