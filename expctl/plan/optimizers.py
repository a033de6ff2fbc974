"""What an optimizer of transformers holds for each trained number, and what its step makes beside that."""

from dataclasses import dataclass

from expctl.plan.workload import Workload

FLOAT32 = 4
# Absolute maxima of bitsandbytes, one in float32 a block of 256 numbers.
BLOCKS = 1 + FLOAT32 / 256


@dataclass(frozen=True)
class Optimizer:
    """Bytes a trained number.

    Args:
        moments: states in the weights' format.
        fixed: bytes of states that have a format of their own.
        whole_embedding: the embedding's states are in float32 all the same (bitsandbytes' rule in transformers).
        copies: copies of all trained weights that a step on a GPU makes for a moment.
        largest: the same of the largest matrix alone, in float32.
        paged: the states live in memory that the driver moves between GPU and machine.
        gradients: whether all gradients are there at once.
    """

    moments: int = 0
    fixed: float = 0.0
    whole_embedding: bool = False
    copies: int = 0
    largest: int = 0
    paged: bool = False
    gradients: bool = True


OPTIMIZERS = {
    "adamw_torch_fused": Optimizer(moments=2),
    "adamw_torch": Optimizer(moments=2, copies=1),  # the root of the second moment, of all weights at once
    "adamw_apex_fused": Optimizer(moments=2),
    "adamw_anyprecision": Optimizer(fixed=4, largest=1),  # two in bfloat16
    "adamw_torch_4bit": Optimizer(fixed=2 * 0.53, largest=2),
    "adamw_torch_8bit": Optimizer(fixed=2 * BLOCKS, largest=2),
    "stable_adamw": Optimizer(moments=2, copies=1),
    "schedule_free_adamw": Optimizer(moments=2, copies=1),
    "schedule_free_radam": Optimizer(moments=2, copies=1),
    "schedule_free_sgd": Optimizer(moments=1, copies=1),
    "ademamix": Optimizer(fixed=3 * FLOAT32),
    "ademamix_8bit": Optimizer(fixed=3 * BLOCKS, whole_embedding=True),
    "paged_ademamix_32bit": Optimizer(fixed=3 * FLOAT32, paged=True),
    "paged_ademamix_8bit": Optimizer(fixed=3 * BLOCKS, paged=True),
    "adamw_bnb_8bit": Optimizer(fixed=2 * BLOCKS, whole_embedding=True),
    "adamw_8bit": Optimizer(fixed=2 * BLOCKS, whole_embedding=True),
    "paged_adamw_32bit": Optimizer(fixed=2 * FLOAT32, paged=True),
    "paged_adamw_8bit": Optimizer(fixed=2 * BLOCKS, paged=True),
    "lion_32bit": Optimizer(fixed=FLOAT32),
    "lion_8bit": Optimizer(fixed=BLOCKS, whole_embedding=True),
    "paged_lion_32bit": Optimizer(fixed=FLOAT32, paged=True),
    "paged_lion_8bit": Optimizer(fixed=BLOCKS, paged=True),
    "rmsprop": Optimizer(moments=1, copies=1),
    "rmsprop_bnb": Optimizer(fixed=BLOCKS, whole_embedding=True),
    "rmsprop_bnb_8bit": Optimizer(fixed=BLOCKS, whole_embedding=True),
    "rmsprop_bnb_32bit": Optimizer(fixed=FLOAT32),
    "adagrad": Optimizer(moments=1, copies=2),
    "sgd": Optimizer(),
    "adafactor": Optimizer(largest=2),  # rows and columns of the second moment are next to nothing
    "grokadamw": Optimizer(moments=3, largest=2),
    "lomo": Optimizer(gradients=False, largest=1),
    "adalomo": Optimizer(gradients=False, largest=2),
}
# What is not known better: galore, apollo, an optimizer of one's own.
UNKNOWN = OPTIMIZERS["adamw_torch"]


def optimizer_of(workload: Workload) -> Optimizer:
    """The optimizer of a training, AdamW where its name is unknown."""
    return OPTIMIZERS.get(workload.optimizer, UNKNOWN)


def state_bytes(workload: Workload) -> int:
    """Bytes of the states of all trained parameters, on all devices together."""
    optimizer, trained = optimizer_of(workload), workload.trained
    if optimizer.paged and workload.gpu:
        return 0
    number = optimizer.moments * trained_format(workload) + optimizer.fixed
    embedding = 0 if workload.adapter or not optimizer.whole_embedding else workload.shape.embedding
    whole = embedding * FLOAT32 * round(optimizer.fixed)
    return round((trained - embedding) * number) + whole


def step_bytes(workload: Workload) -> int:
    """Bytes that a step makes beside weights, gradients and states."""
    optimizer = optimizer_of(workload)
    weight = trained_format(workload)
    largest = largest_trained(workload)
    copies = optimizer.copies * weight * (workload.trained if workload.gpu else largest)
    # Weights and gradients of two bytes are taken to float32 before.
    widened = 2 if optimizer.largest and weight < FLOAT32 else 0
    return copies + (optimizer.largest + widened) * FLOAT32 * largest


def trained_format(workload: Workload) -> int:
    """Bytes of a trained number: peft keeps adapters in float32."""
    return FLOAT32 if workload.adapter else workload.precision.weights


def largest_trained(workload: Workload) -> int:
    """Numbers of the largest matrix that is trained."""
    shape = workload.shape
    if workload.adapter is None:
        return max(shape.embedding, *(linear.inputs * linear.outputs for linear in shape.linears))
    return workload.adapter.rank * max(max(linear.inputs, linear.outputs) for linear in shape.linears)
