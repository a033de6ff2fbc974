"""What to change where a training does not fit, each with the peak that it would bring."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from expctl.plan.plan import Plan
from expctl.plan.sampling import engine_needs
from expctl.plan.shape import Shape
from expctl.plan.workload import Adapter, Precision, Sampling, Workload

MOST = 3
# Of several together: how many, and the share of a peak below which a change is one of them.
MOST_TOGETHER, HELPS = 5, 0.98
# What conf/generation/vllm.yaml has.
ENGINE_SHARE = 0.3


@dataclass(frozen=True)
class WayOut:
    """Words that change a training, and what its peak is then."""

    words: str
    # What else changes by it; empty where the mathematics of a step stays.
    note: str
    plan: Plan


def ways_out(plan: Plan) -> list[WayOut]:
    """At most three: those that fit before those that do not, then those that leave the training as it is.

    Where no change is enough by itself, the first is several together.
    """
    helping = [way for way in _ways(plan) if way.plan.peak.total < plan.peak.total]
    fitting = [way for way in helping if way.plan.fits]
    together = [] if fitting else _together(plan)
    others = sorted((way for way in helping if not way.plan.fits), key=lambda way: way.plan.peak.total)
    return _of_each_kind([*fitting, *together, *others])[:MOST]


def _of_each_kind(ways: list[WayOut]) -> list[WayOut]:
    """The first way of those that set the same keys."""
    kinds: dict[frozenset[str], WayOut] = {}
    for way in ways:
        kinds.setdefault(frozenset(word.partition("=")[0] for word in way.words.split()), way)
    return list(kinds.values())


def _together(plan: Plan) -> list[WayOut]:
    """Changes one upon the other, each the one that helps most, until it fits; empty where it never does."""
    words: dict[str, str] = {}
    notes: list[str] = []
    for _ in range(MOST_TOGETHER):
        helping = [way for way in _ways(plan) if way.plan.peak.total < HELPS * plan.peak.total]
        if not helping:
            return []
        best = min(helping, key=lambda way: way.plan.peak.total)
        words |= dict(word.split("=", 1) for word in best.words.split())
        notes += [best.note] if best.note else []
        plan = best.plan
        if plan.fits:
            typed = " ".join(f"{key}={value}" for key, value in words.items())
            return [WayOut(typed, ", ".join(dict.fromkeys(notes)), plan)]
    return []


def _ways(plan: Plan) -> Iterator[WayOut]:
    """Every way, the least intrusive first."""
    if not plan.workload.trains:
        yield from _planned(_other_evaluation(plan.workload, plan.device.memory or 0), plan)
        return
    yield from _planned(_same_step(plan.workload), plan)
    yield from _planned(_with_engine(plan.workload, plan.device.memory or 0), plan)
    yield from _planned(_other_training(plan.workload), plan)


def _planned(changes: Iterator[tuple[str, str, Workload]], plan: Plan) -> Iterator[WayOut]:
    for words, note, workload in changes:
        yield WayOut(words, note, Plan(workload, plan.device))


def _same_step(workload: Workload) -> Iterator[tuple[str, str, Workload]]:
    """Changes after which a step is the same mathematics."""
    if not workload.checkpointing:
        yield "args.gradient_checkpointing=true", "a third more time", replace(workload, checkpointing=True)
    evaluation = workload.evaluation
    if evaluation and evaluation.rows > 8:
        rows = evaluation.rows // 4
        smaller = replace(evaluation, rows=rows)
        yield f"args.per_device_eval_batch_size={rows}", "", replace(workload, evaluation=smaller)
    yield from _fewer_rows(workload)
    yield from _fewer_sampled(workload)
    sampling = workload.sampling
    if sampling and sampling.engine_bytes and not sampling.engine_sleeps:
        sleeping = replace(workload, sampling=replace(sampling, engine_sleeps=True))
        yield "args.vllm_enable_sleep_mode=true", "short steps take longer", sleeping
    if workload.gpu and not workload.sharding:
        processes = max(workload.processes, 8)
        sharded = replace(workload, processes=processes, sharding="fsdp")
        yield "hardware=gpu_8_fsdp2", "the model split over eight GPUs", sharded


def _other_evaluation(workload: Workload, memory: int) -> Iterator[tuple[str, str, Workload]]:
    """Changes of an evaluation; all completions of a prompt are sampled at once."""
    evaluation = workload.evaluation
    if evaluation is None:
        return
    if evaluation.engine_bytes is None:
        for parts in (4, 16, 64):
            rows = evaluation.rows // parts // evaluation.group * evaluation.group
            if rows:
                smaller = replace(workload, evaluation=replace(evaluation, rows=rows))
                yield f"args.per_device_eval_batch_size={rows}", "", smaller
        engine = replace(evaluation, engine_bytes=round(ENGINE_SHARE * memory))
        if workload.gpu and (engine.engine_bytes or 0) >= engine_needs(workload, engine):
            yield "generation=vllm", "vLLM samples", replace(workload, evaluation=engine)
    if workload.precision.weights > 2:
        halved = replace(workload, precision=Precision(2, workload.precision.autocast))
        yield "model.dtype=bfloat16", "weights in two bytes", halved


def _fewer_rows(workload: Workload) -> Iterator[tuple[str, str, Workload]]:
    """Micro-batches of a half, a quarter, ... of the rows, and as many more of them."""
    for parts in (2, 4, 8, 16):
        if workload.batch_rows % parts or workload.rows < parts:
            return
        rows, accumulation = workload.batch_rows // parts, workload.micro_batches * parts
        words = f"args.per_device_train_batch_size={rows} args.gradient_accumulation_steps={accumulation}"
        fewer = replace(workload, batch_rows=rows, rows=-(-workload.rows // parts), micro_batches=accumulation)
        yield words, "", fewer


def _fewer_sampled(workload: Workload) -> Iterator[tuple[str, str, Workload]]:
    """The completions of a step sampled in several turns in place of all at once."""
    sampling = workload.sampling
    if sampling is None or sampling.engine_bytes is not None:
        return
    for turns in (2, 4, 8, 16):
        rows = sampling.rows // turns
        if rows:
            yield f"hardware.sampled_rows={rows}", "sampled in turns", workload.sampled_in_turns(rows)


def _with_engine(workload: Workload, memory: int) -> Iterator[tuple[str, str, Workload]]:
    """vLLM in place of transformers, with the share that `generation=vllm` gives it."""
    sampling = workload.sampling
    if not workload.gpu or sampling is None or sampling.engine_bytes is not None:
        return
    engine = round(ENGINE_SHARE * memory)
    sampled = replace(sampling, engine_bytes=engine, scored_rows=workload.batch_rows)
    evaluated = workload.evaluation and replace(workload.evaluation, engine_bytes=engine)
    yield "generation=vllm", "vLLM samples", replace(workload, sampling=sampled, evaluation=evaluated)


def _other_training(workload: Workload) -> Iterator[tuple[str, str, Workload]]:
    """Changes after which another training is done."""
    if workload.adapter is None:
        adapted = replace(workload, adapter=_all_linear(workload.shape), reference=False)
        yield "peft=lora", "an adapter in place of all weights", adapted
        if workload.optimizer.startswith("adamw") and "8bit" not in workload.optimizer:
            yield "args.optim=adafactor", "another optimizer", replace(workload, optimizer="adafactor")
    elif workload.precision.weights > 2:
        halved = replace(workload, precision=Precision(2, workload.precision.autocast))
        yield "model.dtype=bfloat16", "frozen weights in two bytes", halved
    sampling = workload.sampling
    if sampling and sampling.completion > 64:
        completion = sampling.completion // 2
        yield (
            f"args.max_completion_length={completion}",
            "longer completions are cut off",
            _shorter(workload, completion),
        )


def _shorter(workload: Workload, completion: int) -> Workload:
    def shortened(sampling: Sampling | None) -> Sampling | None:
        return sampling and replace(sampling, completion=completion)

    return replace(
        workload,
        length=workload.length - workload.scored + completion,
        scored=completion,
        sampling=shortened(workload.sampling),
        evaluation=shortened(workload.evaluation),
    )


def _all_linear(shape: Shape) -> Adapter:
    """What `peft=lora` is."""
    return Adapter(16, frozenset(linear.name for linear in shape.linears))
