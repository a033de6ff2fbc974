"""Two runs of one command on one machine are identical in every metric but the times, started or forked."""

import pytest
from equal_runs import REWARD, SAMPLING, assert_equal
from harness import expctl, only_run

SMALL = [
    "args.max_steps=4",
    "args.per_device_train_batch_size=8",
    "args.per_device_eval_batch_size=8",
    "dataset.train_size=32",
    "dataset.eval_size=8",
    "args.warmup_steps=0",
]
LORA = ["peft=lora", "peft.lora_dropout=0.1"]


@pytest.mark.parametrize(
    "words",
    [["hardware=cpu_2", "algorithm=sft", *LORA], ["hardware=cpu", "algorithm=gspo_token", *LORA, *SAMPLING]],
    ids=["sft on two ranks", "gspo_token"],
)
def test_two_runs_of_one_command_are_identical(words, tmp_path):
    runs = []
    # What other tests let be forked is what is started: see harness.expctl.
    for name, forked in (("started", False), ("forked", True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "letters.py").write_text(REWARD)
        done = expctl(*words, *SMALL, cwd=folder, forked=forked)
        assert done.returncode == 0, done.stdout + done.stderr
        runs.append(only_run(folder))
    assert_equal(*runs)
