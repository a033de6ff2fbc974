"""What must hold of every plan, whatever a machine measures."""

from dataclasses import replace

import pytest

from expctl.plan import Adapter, Device, Plan, Precision, Sampling, Workload
from expctl.plan.model_config import model_config
from expctl.plan.plan import GIB
from expctl.plan.shape import UnknownShapeError, shape_of
from expctl.plan.ways_out import ways_out

ALL_LINEAR = frozenset(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
SHAPES = {name: shape_of(model_config(name).values) for name in ("qwen3-0.6b", "smollm2-135m", "qwen3-8b")}
GRPO = Workload(
    shape=SHAPES["qwen3-0.6b"],
    precision=Precision(4, autocast=True),
    rows=16,
    length=768,
    scored=512,
    batch_rows=16,
    sampling=Sampling(16, 256, 512),
    evaluation=Sampling(64, 256, 512),
)
LORA = replace(GRPO, adapter=Adapter(16, ALL_LINEAR))
VARIANTS = {
    "full": GRPO,
    "without checkpointing": replace(GRPO, checkpointing=False),
    "LoRA": LORA,
    "bfloat16": replace(GRPO, precision=Precision(2, autocast=True)),
    "float32 on a CPU": replace(GRPO, precision=Precision(4, autocast=False), gpu=False),
    "accumulated": replace(GRPO, micro_batches=4),
    "reference": replace(GRPO, reference=True),
    "fsdp": replace(GRPO, processes=8, sharding="fsdp"),
    "engine": replace(GRPO, sampling=Sampling(16, 256, 512, scored_rows=16, engine_bytes=40 * GIB)),
    "no matrices of the MLP adapted": replace(GRPO, adapter=Adapter(8, frozenset(["q_proj", "v_proj"]))),
}


def peak(workload: Workload) -> int:
    return Plan(workload, Device("GPU")).training.total


@pytest.mark.parametrize("workload", VARIANTS.values(), ids=VARIANTS)
def test_parts_sum_to_the_peak_and_none_is_negative(workload):
    plan = Plan(workload, Device("GPU"))
    for phase in plan.phases.values():
        assert phase.total == sum(phase.parts.values())
        assert min(phase.parts.values()) > 0
    assert plan.peak.total == max(phase.total for phase in plan.phases.values())


@pytest.mark.parametrize("workload", VARIANTS.values(), ids=VARIANTS)
def test_more_rows_and_longer_ones_never_take_less(workload):
    sizes = [peak(replace(workload, rows=rows)) for rows in (1, 2, 8, 64, 65, 256)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    sizes = [peak(replace(workload, length=length)) for length in (512, 768, 1024, 8192)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


@pytest.mark.parametrize("workload", VARIANTS.values(), ids=VARIANTS)
def test_checkpointing_never_takes_more(workload):
    assert peak(replace(workload, checkpointing=True)) <= peak(replace(workload, checkpointing=False))


@pytest.mark.parametrize(
    ("shape", "parameters"), [("qwen3-0.6b", 596_049_920), ("smollm2-135m", 134_515_008), ("qwen3-8b", 8_190_735_360)]
)
def test_parameters_are_those_of_the_published_models(shape, parameters):
    assert SHAPES[shape].parameters == parameters


def test_a_replica_is_heavier_than_a_shard_and_a_reference_than_none():
    assert peak(VARIANTS["fsdp"]) < peak(GRPO) < peak(replace(GRPO, processes=8))
    assert peak(VARIANTS["reference"]) - peak(GRPO) == 4 * GRPO.shape.parameters


def test_lora_trains_what_its_matrices_have():
    shape = GRPO.shape
    wanted = 28 * 16 * sum(linear.inputs + linear.outputs for linear in shape.linears)
    assert LORA.trained == wanted
    assert peak(LORA) < peak(GRPO)


def test_an_engine_stands_beside_the_update_unless_it_sleeps():
    awake = VARIANTS["engine"]
    asleep = replace(awake, sampling=replace(awake.sampling, engine_sleeps=True))
    assert peak(awake) - peak(asleep) == 40 * GIB
    assert Plan(asleep, Device("GPU")).sampling.parts["engine"] == 40 * GIB


def test_ways_out_come_with_their_numbers_and_those_that_fit_first():
    plan = Plan(replace(GRPO, checkpointing=False, rows=64, batch_rows=64), Device("GPU", 80 * GIB))
    assert plan.fits is False
    ways = ways_out(plan)
    assert len(ways) == 3
    assert ways[0].words == "args.gradient_checkpointing=true"
    assert [way.plan.fits for way in ways] == [True] * 3
    assert all(way.plan.peak.total < plan.peak.total for way in ways)


def test_a_model_that_fits_nowhere_is_told_what_helps_most():
    ways = ways_out(Plan(replace(GRPO, shape=SHAPES["qwen3-8b"]), Device("GPU", 4 * GIB)))
    sizes = [way.plan.peak.total for way in ways]
    assert len(ways) == 3 and sizes == sorted(sizes)


def test_completions_of_a_step_may_be_sampled_in_turns():
    sampling = Sampling(128, 256, 4096, group=16)
    plan = Plan(replace(GRPO, micro_batches=8, sampling=sampling, evaluation=None), Device("GPU", 80 * GIB))
    ways = {way.words.partition("=")[0]: way for way in ways_out(plan)}
    fewer = ways["hardware.sampled_rows"]
    assert fewer.plan.fits and fewer.words == f"hardware.sampled_rows={fewer.plan.workload.sampling.rows}"
    assert fewer.plan.training == plan.training
    assert ways["generation"].plan.sampling.parts["engine"] == round(0.3 * 80 * GIB)


def test_changes_that_are_too_small_by_themselves_are_shown_together():
    plan = Plan(
        replace(GRPO, shape=SHAPES["qwen3-8b"], checkpointing=False, adapter=LORA.adapter), Device("GPU", 40 * GIB)
    )
    first, *others = ways_out(plan)
    assert first.plan.fits and not any(way.plan.fits for way in others)
    assert "args.gradient_checkpointing=true" in first.words.split()
    keys = [word.partition("=")[0] for word in first.words.split()]
    assert len(keys) == len({*keys}) > 1


def test_a_config_without_a_decoders_entries_is_refused_by_their_name():
    with pytest.raises(UnknownShapeError, match="'num_hidden_layers'"):
        shape_of({"model_type": "other", "hidden_size": 64, "num_attention_heads": 4})
