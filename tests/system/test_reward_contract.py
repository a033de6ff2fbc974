"""What the rewards of a whole run are told, and what happens to what they return."""

import json

import pytest

from tests.harness import GFPO, expctl, metrics, only_run

SHORT = [*GFPO, "args.do_eval=true", "args.eval_strategy=steps", "args.eval_steps=1", "dataset.eval_size=16"]
REWARDS = """
def ended(completions, truncated, **columns):
    return [float(not cut) for cut in truncated]

async def judge(completions, trainer_state, **columns):
    if trainer_state.global_step == 1:
        raise OSError("the judge is down")
    return [float("inf"), *(len(completion) / 100 for completion in completions[1:])]
"""


def test_what_is_cut_off_earns_nothing_in_training_and_evaluation(tmp_path):
    """Two rewards that pay every completion but those: the user's own, and one that takes any text for an answer."""
    (tmp_path / "mine.py").write_text(REWARDS)
    form = [
        "reward.functions.form._target_=expctl.rewards.answer_format.one_answer",
        "reward.functions.form.pattern='(?s).+'",
    ]
    done = expctl(
        *SHORT, "args.max_completion_length=20", "reward.functions.ended._target_=mine.ended", *form, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    shares = [
        (row[f"{part}completions/clipped_ratio"], row[f"{part}rewards/ended/mean"], row[f"{part}rewards/form/mean"])
        for row in metrics(only_run(tmp_path))
        for part in ("", "eval_")
        if f"{part}reward" in row
    ]
    assert len(shares) >= 4 and any(0 < share < 1 for share, *_ in shares)
    for share, ended, form in shares:
        assert ended == form == pytest.approx(1 - share)
    kept = [json.loads(line) for line in (only_run(tmp_path) / "samples.jsonl").read_text().splitlines()]
    assert {row["truncated"] for row in kept} == {True, False}
    for row in kept:  # and so it is scored again by `expctl reward --on RUN`
        assert row["truncated"] is row["unfinished"] is (row["rewards"]["ended"] == 0)


def test_what_a_judge_does_not_give_counts_as_missing_and_is_not_trained_on(tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    words = [*GFPO, "reward.functions.judge._target_=mine.judge"]
    stopped = expctl(*words, cwd=tmp_path)
    assert stopped.returncode == 1 and "reward 'judge' raised OSError: the judge is down" in stopped.stderr
    passed = tmp_path / "passed"
    passed.mkdir()
    (passed / "mine.py").write_text(REWARDS)
    done = expctl(*words, "reward.on_error=missing", "args.max_steps=3", cwd=passed)
    assert done.returncode == 0, done.stderr
    rows = {row["step"]: row for row in metrics(only_run(passed)) if "grad_norm" in row}
    missing = [rows[step]["rewards/judge/missing"] for step in (1, 2, 3)]
    assert 0 < missing[0] == missing[2] < 1 and missing[1] == 1
    assert all(row["grad_norm"] is not None for row in rows.values())
    log = (only_run(passed) / "worker.log").read_text()
    assert "reward 'judge' returned inf on the completion" in log


def test_a_gate_and_a_schedule_hold_in_training_and_evaluation(tmp_path):
    """A reward of 1 for everything, behind the accuracy: both have the same mean, and the sum has the step's weight."""
    (tmp_path / "mine.py").write_text("async def one(completions, **columns):\n    return [1.0] * len(completions)\n")
    words = [
        "reward.functions={right: '${dataset.reward.accuracy}', one: {_target_: mine.one}}",
        "reward.gates={one: right}",
        "reward.weights={one: [[0, 0], [4, 2]]}",
    ]
    done = expctl(*SHORT, *words, "args.max_steps=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seen = set()
    for row in metrics(only_run(tmp_path)):
        for part, weight in (("", row.get("rewards/one/weight")), ("eval_", 2.0)):
            if f"{part}reward" in row and weight is not None:
                right = row[f"{part}rewards/right/mean"]
                assert row[f"{part}rewards/one/mean"] == pytest.approx(right)
                assert row[f"{part}reward"] == pytest.approx((1 + weight) * right)
                seen.add((part, weight, right > 0))
    assert {("", 0.0, True), ("", 0.5, True), ("eval_", 2.0, True)} <= seen
