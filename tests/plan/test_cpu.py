"""The memory model against trainings on a CPU: those of the table, and two that are measured here."""

import pytest
from memory_script import SCRIPT

# The issue asks for 15 %.
BOUND = 0.05


@pytest.mark.parametrize("line", SCRIPT.table("cpu.csv"), ids=lambda line: f"{line['case']}: {line['phase']}")
def test_what_was_measured_is_foreseen(line):
    assert SCRIPT.foreseen(SCRIPT.CASES[line["case"]])[line["phase"]] == pytest.approx(int(line["bytes"]), rel=BOUND)


@pytest.mark.parametrize(
    "words",
    [
        ["algorithm=sft", "args.per_device_train_batch_size=8", "dataset.train_size=32"],
        [
            *("algorithm=gfpo", "args.num_generations=4", "args.num_remains_in_group=2", "peft=lora"),
            *("args.per_device_train_batch_size=8", "args.max_completion_length=16", "dataset.train_size=32"),
        ],
    ],
    ids=["SFT", "GFPO with LoRA"],
)
def test_the_allocations_of_a_training_are_foreseen(words):
    planned = SCRIPT.foreseen(words)
    for phase, size in SCRIPT.peaks(words).items():
        if size is not None:
            assert planned[phase] == pytest.approx(size, rel=0.1)
