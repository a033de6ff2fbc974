"""What a training asks of a device, in numbers: the input of the memory model."""

from dataclasses import dataclass, field, replace

from expctl.plan.shape import Shape


@dataclass(frozen=True)
class Precision:
    """Bytes a number.

    `autocast`: matrices are multiplied in two bytes although the weights may have four.
    """

    weights: int
    autocast: bool

    @property
    def computed(self) -> int:
        """Of what a matrix product gives."""
        return 2 if self.autocast else self.weights

    @property
    def recast(self) -> bool:
        """Whether weights are copied in another format to be multiplied."""
        return self.computed != self.weights


@dataclass(frozen=True)
class Adapter:
    """LoRA: its rank, and the matrices of a layer that have one."""

    rank: int
    targets: frozenset[str]

    def parameters(self, shape: Shape) -> int:
        """Numbers of its parameters in all layers."""
        adapted = (linear for linear in shape.linears if linear.name in self.targets)
        return shape.layers * sum(self.rank * (linear.inputs + linear.outputs) for linear in adapted)


@dataclass(frozen=True)
class Sampling:
    """Completions that are sampled at once on a device.

    Args:
        rows: completions.
        prompt, completion: tokens of the longest.
        group: completions of a prompt.
        scored_rows: rows whose log-probabilities are taken at once after the sampling; 0 where none are.
        engine_bytes: what vLLM takes of the device; None where transformers samples.
        engine_sleeps: vLLM gives its memory back while the update runs.
    """

    rows: int
    prompt: int
    completion: int
    group: int = 1
    scored_rows: int = 0
    engine_bytes: int | None = None
    engine_sleeps: bool = False

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return self.prompt + self.completion


@dataclass(frozen=True)
class Workload:
    """A training on one of its devices.

    Args:
        shape: of the model.
        precision: of weights and matrix products.
        rows: sequences of a micro-batch that the update sees: kept completions, or both of each pair.
        batch_rows: `args.per_device_train_batch_size`, of which those are.
        length: tokens of the longest of them.
        scored: tokens of a sequence whose log-probability enters the loss.
        micro_batches: micro-batches of an optimizer step.
        checkpointing: layers are computed again in the backward pass.
        optimizer: transformers' name, e.g. adamw_torch_fused.
        adapter: LoRA; None where all weights are trained.
        reference: whether a second model of the same shape is held.
        gpu: computed by Triton and flash attention; False for a CPU.
        eager_attention: the matrix of all pairs of tokens is held.
        processes: of the whole group.
        sharding: "fsdp", "zero3", or None where every device has all of the model.
        offloaded: a sharded model rests in main memory.
        sampling, evaluation: completions that are sampled in training and in evaluation; None where none are.
        trains: False where completions are sampled and nothing is updated; the update's numbers then say nothing.
    """

    shape: Shape
    precision: Precision
    rows: int
    length: int
    scored: int
    micro_batches: int = 1
    checkpointing: bool = True
    optimizer: str = "adamw_torch_fused"
    adapter: Adapter | None = None
    reference: bool = False
    gpu: bool = True
    eager_attention: bool = False
    processes: int = 1
    sharding: str | None = None
    offloaded: bool = False
    batch_rows: int = 1
    sampling: Sampling | None = None
    evaluation: Sampling | None = None
    trains: bool = True
    # Name and bytes of what is held besides: stored completions, an average of the weights.
    besides: tuple[tuple[str, int], ...] = ()
    # What was taken to be so, since it cannot be known beforehand.
    assumed: tuple[str, ...] = field(default=(), compare=False)

    def sampled_in_turns(self, rows: int | None) -> "Workload":
        """The same where at most so many completions are sampled at a time; None samples all at once."""

        def limited(sampling: Sampling | None) -> Sampling | None:
            if rows is None or sampling is None or sampling.engine_bytes is not None:
                return sampling
            return replace(sampling, rows=min(sampling.rows, rows))

        return replace(self, sampling=limited(self.sampling), evaluation=limited(self.evaluation))

    @property
    def samples(self) -> Sampling | None:
        """The completions of a training, or of an evaluation where there is no training."""
        return self.sampling if self.trains else self.evaluation

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch, padding included."""
        return self.rows * self.length

    @property
    def trained(self) -> int:
        """Numbers of all parameters that are trained."""
        if not self.trains:
            return 0
        return self.adapter.parameters(self.shape) if self.adapter else self.shape.parameters

    @property
    def shards(self) -> int:
        """Devices that share one copy of the model."""
        return self.processes if self.sharding else 1
