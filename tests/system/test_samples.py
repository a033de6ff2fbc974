"""The completions that a training keeps: those of the same prompts, and the same after an interruption."""

import json
import shutil

from equal_runs import REWARD, SAMPLING
from harness import expctl, manifest, only_run

WORDS = [
    "hardware=cpu",
    "algorithm=gfpo",
    *SAMPLING,
    "args.num_generations=8",
    "args.num_remains_in_group=4",
    "args.max_steps=4",
    "args.save_steps=2",
    "args.eval_strategy=steps",
    "args.eval_steps=2",
    "args.per_device_train_batch_size=8",
    "args.per_device_eval_batch_size=8",
    "dataset.train_size=32",
    "dataset.eval_size=8",
]


def test_a_run_keeps_its_evaluations_completions_and_is_shown_with_them_also_when_it_was_carried_on(tmp_path):
    (tmp_path / "letters.py").write_text(REWARD)
    done = expctl(*WORDS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = only_run(tmp_path)
    kept = (run / "samples.jsonl").read_text()
    rows = [json.loads(line) for line in kept.splitlines()]
    assert [row["step"] for row in rows] == [0] * 4 + [2] * 4 + [4] * 4
    prompts = [{row["prompt"] for row in rows if row["step"] == step} for step in (0, 2, 4)]
    assert prompts[0] == prompts[1] == prompts[2] and len(prompts[0]) == 4
    # What stands beside a completion is its own reward.
    assert all(row["rewards"] == {"remainder": sum(map(ord, row["completion"])) % 7} for row in rows)

    as_if_killed_after_two_steps(run)
    listed = expctl("ls", "status=interrupted", "--columns", "run,step", cwd=tmp_path)
    assert listed.stdout == f"{run.name}\t4\n", listed.stderr
    done = expctl("resume", run.name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert manifest(run)["attempts"][-1]["from_step"] == 2
    assert (run / "samples.jsonl").read_text() == kept

    shown = expctl("show", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "completed, eval_reward = " in shown.stdout and "remainder " in shown.stdout
    assert all(prompt.strip() in shown.stdout for prompt in prompts[0])


def as_if_killed_after_two_steps(run):
    """The run as if its machine had gone down after the evaluation that follows the checkpoint of step 4."""
    shutil.rmtree(run / "checkpoints" / "checkpoint-4")
    shutil.rmtree(run / "model")
    for name in ("summary.json", ".outcome.json"):
        (run / name).unlink()
    told = manifest(run)
    told["attempts"][0] |= {"ended": None, "to_step": None, "exit": None}
    (run / "run.json").write_text(json.dumps(told | {"status": "running", "ended": None}))
