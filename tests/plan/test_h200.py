"""The memory model against what was measured on an NVIDIA H200."""

import csv
from pathlib import Path

import pytest

from expctl.plan import Adapter, Device, Plan, Precision, Sampling, Workload
from expctl.plan.model_config import model_config
from expctl.plan.plan import GIB
from expctl.plan.shape import shape_of

TABLE = Path(__file__).with_name("h200.csv")
ALL_LINEAR = frozenset(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
# The issue asks for 15 %. The model is first principles, so it is held to less: what it misses is a mistake in it.
BOUND = 0.04


def lines() -> list[dict[str, str]]:
    text = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(text))


def workload(line: dict[str, str]) -> Workload:
    """The workload of a line of the table."""
    rows, accumulation = int(line["rows"]), int(line["accumulation"])
    adapter = Adapter(16, ALL_LINEAR) if line["lora"] == "True" else None
    samples = bool(line["prompt_tokens"])
    sampling = None
    if samples:
        prompt, completion = int(line["prompt_tokens"]), int(line["completion_tokens"])
        sampling = Sampling(rows * accumulation, prompt, completion)
        length, scored = prompt + completion, completion
    else:
        length = scored = int(line["max_length"])
    if line["filtered"] == "drop":
        rows = rows * int(line["num_remains_in_group"]) // int(line["num_generations"])
    if line["algorithm"] == "dpo":
        rows *= 2
    return Workload(
        shape=shape_of(model_config(line["shape"]).values),
        precision=Precision(4 if line["dtype"] == "float32" else 2, autocast=True),
        rows=rows,
        length=length,
        scored=scored,
        micro_batches=accumulation,
        checkpointing=line["gradient_checkpointing"] == "True",
        optimizer=line["optim"],
        adapter=adapter,
        reference=adapter is None and (line["algorithm"] == "dpo" or float(line["beta"] or 0) > 0),
        sampling=sampling,
    )


@pytest.mark.parametrize("line", lines(), ids=lambda line: line["name"])
def test_training_is_foreseen(line):
    plan = Plan(workload(line), Device("H200"))

    assert plan.training.total / GIB == pytest.approx(float(line["train_GiB"]), rel=BOUND)


@pytest.mark.parametrize("line", [line for line in lines() if line["sample_GiB"]], ids=lambda line: line["name"])
def test_sampling_is_foreseen(line):
    plan = Plan(workload(line), Device("H200"))

    assert plan.sampling.total / GIB == pytest.approx(float(line["sample_GiB"]), rel=BOUND)
