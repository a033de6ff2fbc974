"""From an experiment to the numbers that the memory model takes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from expctl.base.data_kinds import PREFERENCE, PROMPT_ONLY
from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.devices.sharding import is_deepspeed
from expctl.plan.besides import besides
from expctl.plan.lengths import Lengths, lengths_of
from expctl.plan.model_config import ModelConfig, model_config
from expctl.plan.settings import Settings
from expctl.plan.shape import Shape, UnknownShapeError, shape_of
from expctl.plan.workload import Adapter, Precision, Sampling, Workload

# Of keys and values of vLLM on a CPU (VLLM_CPU_KVCACHE_SPACE), unless a user sets another.
CPU_CACHE = 2**30
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# What peft adapts where nothing is said, of the families that `shape.py` knows.
DEFAULT_TARGETS = ("q_proj", "v_proj")


def workload_of(experiment: Experiment, settings: Settings, device_bytes: int | None) -> Workload:
    """The workload of an experiment on one of its devices.

    Args:
        experiment: composed; its model and data need not be here.
        settings: of `args`.
        device_bytes: memory of a device, of which an engine takes a share; None where it is unknown.

    Raises:
        Refusal: nothing is known of the model's shape.
    """
    config = experiment.config
    model = mapping(config.get("model"))
    where = experiment.set_by("model.path")
    found = model_config(str(model.get("path")), str(model.get("revision") or "main"), where)
    try:
        shape = shape_of(found.values)
    except UnknownShapeError as error:
        do = "a decoder as Qwen3, Llama or Mistral is what can be planned"
        raise Refusal(f"{model.get('path')}: {error}", where=where, do=do) from error
    kind, trainer = str(config["algorithm"]["kind"]), mapping(config["algorithm"]["trainer"])
    lengths = lengths_of(mapping(config.get("dataset")), kind, found.tokenizer)
    hardware = experiment.hardware
    sharding = mapping(hardware["sharding"])
    processes = hardware["num_processes"] * hardware["num_machines"]
    adapter, adapter_notes = _adapter(mapping(config.get("peft")), shape)
    workload = Workload(
        shape=shape,
        precision=_precision(model, found, settings),
        rows=1,
        length=1,
        scored=1,
        trains=trains(config),
        micro_batches=settings["gradient_accumulation_steps"] or 1,
        checkpointing=bool(settings["gradient_checkpointing"]),
        optimizer=str(settings["optim"] or "adamw_torch_fused"),
        adapter=adapter,
        # One of its own (reference=local) is held beside an adapter too; it counts as large as the model.
        reference="ref_model" in trainer or (adapter is None and _has_reference(kind, settings)),
        gpu=not hardware["use_cpu"],
        eager_attention=model.get("attn_implementation") == "eager",
        processes=processes,
        sharding=_kind_of(sharding),
        offloaded=bool(sharding.get("fsdp_offload_params")),
        assumed=(*lengths.assumed, *adapter_notes),
    )
    if not workload.trains:
        workload = _evaluated(workload, settings, lengths, device_bytes)
    elif kind == PROMPT_ONLY and "num_generations" in settings:
        workload = _sampled(workload, settings, lengths, processes, device_bytes)
        at_a_time = hardware.get("sampled_rows")
        workload = workload.sampled_in_turns(at_a_time if isinstance(at_a_time, int) else None)
    else:
        workload = _supervised(workload, kind, settings, lengths)
    return replace(workload, besides=tuple(besides(workload, settings, mapping(config.get("callbacks")))))


def _kind_of(sharding: dict[str, Any]) -> str | None:
    """How the model is split, as `Workload` names it."""
    if not sharding:
        return None
    return "zero3" if is_deepspeed(sharding) else "fsdp"


def _precision(model: Mapping[str, Any], found: ModelConfig, settings: Settings) -> Precision:
    dtype = str(model.get("dtype") or "float32")
    if dtype == "auto":
        dtype = str(found.values.get("dtype") or found.values.get("torch_dtype") or "float32")
    if dtype not in BYTES:
        what = f"the dtype '{dtype}' is unknown; it can be auto, {', '.join(BYTES)}"
        raise Refusal(what, where="model.dtype", nearest=nearest(dtype, BYTES))
    return Precision(BYTES[dtype], autocast=bool(settings["bf16"] or settings["fp16"]))


def _adapter(peft: dict[str, Any], shape: Shape) -> tuple[Adapter | None, tuple[str, ...]]:
    """The adapter of a peft config, and what is assumed of it."""
    if not peft:
        return None, ()
    rank = peft.get("r")
    known = isinstance(rank, int)
    notes = () if known else (f"{peft.get('_target_')} as an adapter of rank 8",)
    targets = peft.get("target_modules")
    names = [linear.name for linear in shape.linears]
    if targets is None:
        chosen = [name for name in names if name in DEFAULT_TARGETS]
    elif targets == "all-linear":
        chosen = names
    elif isinstance(targets, str):
        chosen = [name for name in names if re.fullmatch(targets, f"model.layers.0.{_parent(name)}.{name}")]
    else:
        chosen = [name for name in names if any(str(target).endswith(name) for target in targets)]
    return Adapter(rank if isinstance(rank, int) else 8, frozenset(chosen)), notes


def _parent(name: str) -> str:
    return "mlp" if name in ("gate_proj", "up_proj", "down_proj") else "self_attn"


def _has_reference(kind: str, settings: Settings) -> bool:
    """Whether a second model is held when all weights are trained."""
    if kind == PREFERENCE:
        return not (settings["precompute_ref_log_probs"] or settings["reference_free"])
    return "num_generations" in settings and bool(settings["beta"])


def _sampled(
    workload: Workload, settings: Settings, lengths: Lengths, processes: int, device_bytes: int | None
) -> Workload:
    """The rows and lengths of an algorithm that samples."""
    group = settings["num_generations"]
    rows = settings["per_device_train_batch_size"] or 8
    steps = settings["steps_per_generation"]
    batch = settings["generation_batch_size"]
    if steps is None:
        steps = batch // (rows * processes) if batch else workload.micro_batches
    at_once = rows * max(steps, 1)
    completion = settings["max_completion_length"] or 256
    kept = _kept(settings, group)
    sampling = Sampling(
        rows=at_once,
        prompt=lengths.prompt,
        completion=completion,
        group=group,
        scored_rows=rows if _scores(settings, workload.micro_batches, steps) else 0,
        engine_bytes=_engine_bytes(workload, settings, device_bytes),
        engine_sleeps=bool(settings["vllm_enable_sleep_mode"]),
    )
    return replace(
        workload,
        batch_rows=rows,
        rows=-(-at_once * kept // (group * max(steps, 1))),
        length=lengths.prompt + completion,
        scored=completion,
        sampling=sampling,
        evaluation=replace(sampling, rows=settings["per_device_eval_batch_size"] or 8) if settings["do_eval"] else None,
    )


def _evaluated(workload: Workload, settings: Settings, lengths: Lengths, device_bytes: int | None) -> Workload:
    """The rows and lengths of completions that are sampled and rewarded, with no loss."""
    sampling = Sampling(
        rows=settings["per_device_eval_batch_size"] or 8,
        prompt=lengths.prompt,
        completion=settings["max_completion_length"] or 256,
        group=settings["num_generations_eval"] or 1,
        engine_bytes=_engine_bytes(workload, settings, device_bytes),
    )
    return replace(workload, reference=False, length=sampling.length, evaluation=sampling)


def _kept(settings: Settings, group: int) -> int:
    """Completions of a group that the update sees."""
    k = settings["num_remains_in_group"]  # None too where the trainer has no such field
    return group if k is None or settings["filtered"] == "mask" else min(k, group)


def _scores(settings: Settings, accumulation: int, steps: int) -> bool:
    """Whether log-probabilities of the sampled rows are taken before the update."""
    aligned = accumulation % (max(steps, 1) * (settings["num_iterations"] or 1)) == 0
    corrected = settings["use_vllm"] and settings["vllm_importance_sampling_correction"]
    return bool(not aligned or corrected or settings["replay_buffer_size"] or settings["beta"])


def _engine_bytes(workload: Workload, settings: Settings, device_bytes: int | None) -> int | None:
    """What vLLM takes of the device beside the training; a server has devices of its own."""
    if not settings["use_vllm"]:
        return None
    if settings["vllm_mode"] == "server":
        return 0
    if not workload.gpu:
        # float32 weights, as they came and packed for the processor, and the cache that expctl gives it.
        return 2 * 4 * workload.shape.parameters + CPU_CACHE
    return round((settings["vllm_gpu_memory_utilization"] or 0.3) * (device_bytes or 0))


def _supervised(workload: Workload, kind: str, settings: Settings, lengths: Lengths) -> Workload:
    """The rows and lengths of an algorithm that learns from given answers."""
    rows = settings["per_device_train_batch_size"] or 8
    most = settings["max_length"]
    length = lengths.prompt + lengths.answer
    if most:
        length = most if settings["packing"] else min(length, most)
    scored = min(lengths.answer, length)
    if settings["packing"] or settings["completion_only_loss"] is False:
        scored = length
    sequences = 2 if kind == PREFERENCE else 1
    evaluated = sequences * (settings["per_device_eval_batch_size"] or 8)
    evaluation = Sampling(rows=0, prompt=length - scored, completion=scored, scored_rows=evaluated)
    return replace(
        workload,
        batch_rows=rows,
        rows=rows * sequences,
        length=length,
        scored=scored,
        evaluation=evaluation if settings["do_eval"] else None,
    )
