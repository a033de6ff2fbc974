"""A training that learns nothing says so; one that learns is silent."""

import json

from harness import GFPO, SFT, expctl, manifest, only_run, runs

CUT = ["args.max_completion_length=4", "args.max_steps=6", "args.do_eval=false"]


def test_completions_that_are_cut_off(tmp_path):
    done = expctl(*CUT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    alerts = {alert["kind"]: alert for alert in manifest(only_run(tmp_path))["alerts"]}
    assert set(alerts) == {"no_contrast", "cut_off"}
    cut = alerts["cut_off"]
    assert (cut["step"], cut["last_step"]) == (1, 6) and "args.max_completion_length (now 4)" in cut["do"]
    for text in (done.stdout, done.stderr):  # while it ran, and in the closing
        assert "100% of the completions are cut off at 4 tokens" in text


def test_a_learning_rate_that_is_too_large(tmp_path):
    done = expctl("algorithm=sft", "args.max_steps=4", "args.do_eval=false", "args.learning_rate=1e30", cwd=tmp_path)
    (alert,) = manifest(only_run(tmp_path))["alerts"]
    assert alert["kind"] == "not_a_number" and alert["step"] == 2
    assert "args.learning_rate (now 1e+30)" in done.stdout


def test_usual_trainings_are_silent(tmp_path):
    for words in (SFT, ["algorithm=dpo", *SFT[1:]], ["args.max_steps=3", "args.do_eval=false"]):
        done = expctl(*words, cwd=tmp_path)
        assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    assert not any(manifest(folder).get("alerts") for folder in runs(tmp_path))


def test_where_the_last_step_samples_nothing_the_reward_of_the_last_that_did_is_the_objective(tmp_path):
    words = [*GFPO[1:], "args.steps_per_generation=2", "args.max_steps=4"]
    done = expctl(*words, cwd=tmp_path)
    summary = json.loads((only_run(tmp_path) / "summary.json").read_text())
    assert summary["objective"] is not None and summary["objective_step"] == 3
    assert "measured at step 3, after 4 steps" in done.stdout


def test_no_step_is_no_completed_run(tmp_path):
    """A loader of one's own, whose rows nobody counts before they are loaded."""
    (tmp_path / "few.py").write_text(
        "from datasets import Dataset\n\n\ndef load(*, kind, seed):\n"
        "    rows = [{'prompt': f'{n}+{n}=', 'answer': str(2 * n)} for n in range(10, 17)]\n"
        "    return Dataset.from_list(rows), Dataset.from_list(rows[:2])\n"
    )
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "few.yaml").write_text(
        "_target_: few.load\nkind: ${algorithm.kind}\nseed: ${seed}\n"
        "reward:\n  accuracy: {_target_: expctl.rewards.arithmetic.accuracy, _partial_: true}\n"
    )
    done = expctl("dataset=few", cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "8 prompts" in done.stderr and "7 to train on" in done.stderr
    assert not any(manifest(folder)["status"] == "completed" for folder in runs(tmp_path))
