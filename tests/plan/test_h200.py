"""The memory model against what was measured on an NVIDIA H200."""

import pytest
from memory_script import SCRIPT

from expctl.plan import Device, Plan
from expctl.plan.plan import GIB, UPDATE_RESERVE

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


def test_the_allocator_reserved_no_more_than_is_said_and_nearly_so_much_in_the_worst_case():
    shares = [float(line["reserved_GiB"]) * GIB / said(line) for line in LINES]
    assert 0.97 < max(shares) <= 1


def said(line):
    """Bytes; of the update alone where the completions of a line were not really sampled."""
    plan = Plan(SCRIPT.h200_workload(line), Device("H200"))
    return plan.reserved if line["sample_GiB"] else plan.training.total * UPDATE_RESERVE
