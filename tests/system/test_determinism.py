"""Two runs of one command on one machine are identical in every metric but the times, started or forked."""

import re

import pytest
from equal_runs import REWARD, SAMPLING, assert_equal
from harness import COMMAND, SFT, expctl, forked_workers, manifest, only_run, run, run_forked, runs

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


FAILING = (
    "from transformers import TrainerCallback\n\n\nclass Boom(TrainerCallback):\n"
    "    def on_step_end(self, args, state, control, **kwargs):\n        raise KeyError('lost')\n"
)
# One of each way in which a command ends, and of each kind of verb.
COMMANDS = {
    "refused by Hydra": ["algorithm=gfop"],
    "refused by a check": ["args.num_remains_in_group=99", "my.key=1"],
    "composed": ["--cfg", "job", "seed=7"],
    "checked": ["check", "-m", "seed=0,1"],
    "explained": ["explain", "args.learning_rate"],
    "helped": ["--help"],
    "nothing to show": ["show"],
    "trained": [*SFT, "tracker=tensorboard"],
    "failed": [*SFT, "callbacks.boom._target_=mine.Boom"],
    "swept": ["-m", *SFT, "args.max_steps=1", "seed=0,1"],
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_forked_command_says_and_leaves_what_a_started_one_does(kind, tmp_path):
    done, left = [], []
    for way, command in (("started", run), ("forked", run_forked)):
        folder = tmp_path / way / "work"
        folder.mkdir(parents=True)
        (folder / "mine.py").write_text(FAILING)
        ended = command(COMMAND, *COMMANDS[kind], cwd=folder, timeout=280, **forked_workers())
        done.append((ended.returncode, _timeless(ended.stdout), _timeless(ended.stderr)))
        left.append([(run.name, _lasting(manifest(run))) for run in runs(folder)])
        left[-1].append({_timeless(str(path.relative_to(folder))) for path in folder.rglob("*")})
    assert done[0] == done[1]
    assert left[0] == left[1]


def _timeless(text: str) -> str:
    """A text without the lines of its progress, times, process ids and the way's own folder."""
    text = re.sub(r"(?m)^ +[\d.]+ ?s  .*\n", "", text)
    text = re.sub(r"(tfevents\.).*", r"\1...", text)  # a time, a host and a process id of any length
    return re.sub(r"\d+(\.\d+)? ?(seconds|s)\b|\b\d{5,}(\.\d+)*\b|/(started|forked)/", "...", text)


def _lasting(recorded: dict) -> dict:
    """A manifest without what no two runs share."""
    varying = ("folder", "created", "ended", "attempts", "started", "environment")
    assert recorded["environment"]
    return {key: value for key, value in recorded.items() if key not in varying} | {
        "environment": {key: value for key, value in recorded["environment"].items() if key != "FORKED_FROM"}
    }
