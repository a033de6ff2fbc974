"""Runs compared at the same number of tokens, seconds or steps, from the evaluations within their trainings."""

import pytest
from synthetic import GFPO, run

from expctl.base.refusal import Refusal
from expctl.compare.budget import Budget, at, parse
from expctl.compare.conclusion import compare_runs
from expctl.compare.curves import records_of
from expctl.compare.runs import UnreadableRunError, read

SECONDS = {"time/update_seconds": 2.0, "time/evaluation_seconds": 50.0, "time/cpu_seconds": 1.0}


def trained(tmp_path, evaluations, seed=0, tokens=100, **told):
    """A run of one step for each evaluation, with the reward of each; the first one is before training."""
    rows = [{"step": 0, "eval_reward": evaluations[0]}]
    for step, reward in enumerate(evaluations[1:], 1):
        rows.append({"step": step, "loss": 0.1, "num_tokens": tokens * step} | SECONDS)
        rows.append({"step": step, "eval_reward": reward})
    summary = {"before": {"eval_reward": evaluations[0]}}
    return run(tmp_path, seed, {"eval_reward": evaluations[-1]}, rows=rows, summary=summary, **told)


@pytest.mark.parametrize(
    ("budget", "reward"),
    [
        (Budget("steps", 1), 0.4),
        (Budget("steps", 1.5), 0.6),
        (Budget("tokens", 50), 0.2),
        (Budget("tokens", 300), 0.9),
        (Budget("seconds", 3), 0.6),
        (Budget("cpu_seconds", 2), 0.8),
    ],
)
def test_a_value_lies_between_the_evaluations_before_and_after(tmp_path, budget, reward):
    record = at(read(trained(tmp_path, [0.0, 0.4, 0.8, 0.9])), budget)
    assert record.after["eval_reward"] == pytest.approx(reward)


def test_of_a_rollout_of_several_steps_the_last_evaluation_counts(tmp_path):
    rows = [
        {"step": 0, "eval_reward": 0.0},
        {"step": 1, "loss": 0.1, "num_tokens": 100},
        {"step": 1, "eval_reward": 0.4},
    ]
    rows += [{"step": 2, "loss": 0.1}, {"step": 2, "eval_reward": 0.6}]
    folder = run(tmp_path, 0, {"eval_reward": 0.6}, rows=rows, summary={"before": {"eval_reward": 0.0}})
    assert at(read(folder), Budget("tokens", 100)).after["eval_reward"] == 0.6


def test_a_run_that_ended_before_or_was_not_evaluated_within_is_left_out_by_name(tmp_path):
    long, short = (trained(tmp_path, [0.0, 0.4, 0.8][:length], seed) for seed, length in ((0, 3), (1, 2)))
    never = run(tmp_path, 2, {"eval_reward": 0.5}, rows=[{"step": 1, "loss": 0.1, "num_tokens": 500}])
    with pytest.raises(UnreadableRunError, match=r"ended before 200 tokens"):
        at(read(short), Budget("tokens", 200))
    comparison = compare_runs([long, short, never], budget=Budget("tokens", 200))
    assert comparison.groups[0].runs == [long.name] and comparison.question.endswith("at 200 tokens")
    said = " ".join(comparison.warnings)
    assert f"{short.name} left out: it ended before 200 tokens" in said
    assert f"{never.name} left out: it has no evaluation within its training" in said


def test_groups_are_judged_by_what_they_were_then_and_not_at_their_ends(tmp_path):
    folders = [trained(tmp_path, [0.1, 0.5 + seed / 100, 0.9], seed) for seed in range(3)]
    folders += [trained(tmp_path, [0.1, 0.7 + seed / 100, 0.9], seed, config=GFPO) for seed in range(3)]
    at_the_end = compare_runs(folders).metric("eval_reward").differences[0]
    then = compare_runs(folders, budget=Budget("tokens", 100)).metric("eval_reward").differences[0]
    compared = compare_runs(folders, budget=Budget("tokens", 100))
    shown = [record.after["eval_reward"] for group in records_of(compared) for record in group.records]
    assert compared.budget == "tokens=100" and shown == pytest.approx([0.5, 0.51, 0.52, 0.7, 0.71, 0.72])
    assert at_the_end.difference.value == pytest.approx(0) and then.difference.value == pytest.approx(0.2)


@pytest.mark.parametrize("text", ["tokens", "tokens=many", "tokens=0", "token=5", "seconds=inf"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(Refusal) as refused:
        parse(text)
    assert f"--at {text}" in refused.value.where
