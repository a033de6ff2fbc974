"""A run that was interrupted and carried on equals the one that never was: every metric but times, and every weight."""

import json
import shutil
import signal

import pytest
from equal_runs import REWARD, SAMPLING, assert_equal
from harness import expctl, manifest, only_run, start, wait_for

from expctl.runs.phases import PHASES

SMALL = ["args.save_steps=1", "args.save_total_limit=null", "args.per_device_train_batch_size=8",
         "args.per_device_eval_batch_size=8", "dataset.train_size=32", "dataset.eval_size=8",
         "args.warmup_steps=0"]  # fmt: skip

SFT = ["algorithm=sft", "args.max_steps=7", "args.gradient_accumulation_steps=2", "args.logging_steps=3",
       "peft=lora", "peft.lora_dropout=0.1"]  # fmt: skip
DPO_BEMA = ["algorithm=dpo_bema", "args.max_steps=6", "callbacks.bema.update_freq=1", "args.logging_steps=2",
            "callbacks.bema.ref_model_update_freq=2", "args.eval_strategy=steps", "args.eval_steps=2"]  # fmt: skip
GRPO = ["algorithm=grpo", *SAMPLING, "args.max_steps=9", "args.steps_per_generation=2", "args.num_iterations=2",
        "args.logging_steps=2", "dataset.train_size=8"]  # fmt: skip
GFPO = ["algorithm=gfpo", *SAMPLING, "args.max_steps=6", "algorithm.trainer.group_filter_func=adaptive_difficulty",
        "args.num_remains_in_group=null", "args.num_generations=8", "args.steps_per_generation=2"]  # fmt: skip
GSPO_TOKEN = ["algorithm=gspo_token", *SAMPLING, "args.max_steps=6", "args.gradient_accumulation_steps=2",
              "args.per_device_train_batch_size=4", "generation=compact"]  # fmt: skip
REPLAY = ["algorithm=grpo_replay", *SAMPLING, "args.max_steps=6", "args.replay_max_fraction=1",
          "args.steps_per_generation=2"]  # fmt: skip


# In the middle of a rollout, of a logging interval, of an epoch other than the first, at a border, after the last step.
@pytest.mark.parametrize(
    ("words", "hardware", "steps"),
    [
        (SFT, "cpu", [3]),
        (DPO_BEMA, "cpu_2", [5]),
        (GRPO, "cpu_2", [5]),
        (GFPO, "cpu", [3]),
        (GSPO_TOKEN, "cpu_2", [3]),
        (REPLAY, "cpu", [3, 6]),
    ],
    ids=lambda value: value[0].partition("=")[2] if isinstance(value, list) and isinstance(value[0], str) else None,
)
def test_a_killed_run_carries_on_to_the_last_bit(words, hardware, steps, tmp_path):
    words = [f"hardware={hardware}", *SMALL, *words]
    undisturbed = finish(tmp_path / "whole", *words)
    for step in steps:
        folder = tmp_path / f"killed_at_{step}"
        as_if_killed_after(step, undisturbed, folder)
        carried_on = finish(folder, *words)
        assert [attempt["from_step"] for attempt in manifest(carried_on)["attempts"]] == [0, step]
        assert_equal(carried_on, undisturbed)
        # The seconds of training are those of all its steps, whichever attempt took them.
        seconds = json.loads((carried_on / "summary.json").read_text())["seconds"]
        phases = [seconds[phase] for phase in PHASES if phase in seconds]
        assert sum(phases) - 0.001 * len(phases) <= seconds["training"] <= seconds["total"]


def test_a_run_that_was_told_to_stop_carries_on_to_the_last_bit(tmp_path):
    # Wherever it falls: the signal comes when some steps are logged, not at a chosen one.
    words = ["hardware=cpu", *SMALL, *GRPO, "args.max_steps=40", "args.save_steps=1000", "args.logging_steps=1"]
    undisturbed = finish(tmp_path / "whole", *words)
    folder = tmp_path / "stopped"
    folder.mkdir()
    (folder / "letters.py").write_text(REWARD)
    process = start(*words, cwd=folder, forked=True)
    wait_for(lambda: list(folder.glob("outputs/*/metrics.jsonl")) and len(metrics_so_far(folder)) > 5)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 75, out + error
    assert_equal(finish(folder, *words), undisturbed)


@pytest.mark.parametrize(
    ("words", "before", "now"),
    [
        (GFPO, ["args.save_steps=1"], ["args.save_steps=2", "args.save_total_limit=1", "args.log_completions=true"]),
        (SFT, ["args.save_steps=3"], ["args.save_steps=2", "args.dataloader_num_workers=2"]),
    ],
    ids=["gfpo", "sft"],
)
def test_a_run_that_goes_on_with_other_immaterial_settings_is_the_same_to_the_last_bit(words, before, now, tmp_path):
    words = ["hardware=cpu", *SMALL, *words]
    undisturbed = finish(tmp_path / "whole", *words, *before)
    folder = tmp_path / "killed"
    as_if_killed_after(3, undisturbed, folder)
    (folder / "letters.py").write_text(REWARD)
    done = expctl(*words, *now, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "args.save_steps is 2 from here on" in done.stderr
    carried_on = only_run(folder)
    assert carried_on.name == undisturbed.name
    assert [attempt["from_step"] for attempt in manifest(carried_on)["attempts"]] == [0, 3]
    written = {int(checkpoint.name.rpartition("-")[2]) for checkpoint in carried_on.glob("checkpoints/checkpoint-*")}
    assert max(written) in (6, 7) and (4 in written or "args.save_total_limit=1" in now) and 5 not in written
    assert_equal(carried_on, undisturbed)
    again = expctl(*words, cwd=folder)
    assert again.returncode == 0 and "was completed" in again.stdout


def finish(folder, *words):
    """Run the command in a folder to its end; the run's folder."""
    folder.mkdir(exist_ok=True)
    (folder / "letters.py").write_text(REWARD)
    done = expctl(*words, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return only_run(folder)


def as_if_killed_after(step, run, folder):
    """A copy of the run as it lay there right after the checkpoint of a step was written, with more rows than that."""
    copied = shutil.copytree(run, folder / "outputs" / run.name)
    for checkpoint in copied.glob("checkpoints/checkpoint-*"):
        if int(checkpoint.name.rpartition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    shutil.rmtree(copied / "model")
    for name in ("summary.json", ".outcome.json"):
        (copied / name).unlink()
    told = manifest(copied)
    told["attempts"][0] |= {"ended": None, "to_step": None, "exit": None}
    (copied / "run.json").write_text(json.dumps(told | {"status": "running", "ended": None}))


def metrics_so_far(folder):
    return (only_run(folder) / "metrics.jsonl").read_text().splitlines()
