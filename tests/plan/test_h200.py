"""The memory model against what was measured on an NVIDIA H200."""

import pytest
from memory_script import SCRIPT

from expctl.plan import Device, Plan
from expctl.plan.plan import GIB

LINES = SCRIPT.table("h200.csv")
# The issue asks for 15 %. The model is first principles, so it is held to less: what it misses is a mistake in it.
BOUND = 0.015


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["name"])
def test_training_is_foreseen(line):
    plan = Plan(SCRIPT.h200_workload(line), Device("H200"))
    assert plan.training.total / GIB == pytest.approx(float(line["train_GiB"]), rel=BOUND)


@pytest.mark.parametrize("line", [line for line in LINES if line["sample_GiB"]], ids=lambda line: line["name"])
def test_sampling_is_foreseen(line):
    plan = Plan(SCRIPT.h200_workload(line), Device("H200"))
    assert plan.sampling.total / GIB == pytest.approx(float(line["sample_GiB"]), rel=BOUND)
