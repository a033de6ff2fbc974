"""Which rows of metrics give an alert, and that those of a training which learns give none."""

import json
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from expctl.runs import manifest
from expctl.runs.alerts import sentence
from expctl.runs.files import Run, read_json
from expctl.runs.progress import Progress
from expctl.worker.health import HealthMonitor, SymptomTracker

ARGS = SimpleNamespace(
    num_generations=16,
    generation_batch_size=128,
    steps_per_generation=1,
    num_iterations=1,
    gradient_accumulation_steps=1,
    max_completion_length=96,
    learning_rate=1e-5,
    temperature=1.0,
    max_grad_norm=1.0,
    num_remains_in_group=4,
    max_length=512,
    beta=0.1,
    lr_scheduler_type="linear",
    warmup_steps=10,
    fp16=False,
    mask_truncated_completions=False,
)
HEALTHY = {"loss": 0.1, "grad_norm": 0.5, "learning_rate": 1e-5}
GROUPS = {
    "reward": 0.3,
    "reward_std": 0.4,
    "frac_reward_zero_std": 0.5,
    "rewards/accuracy/mean": 0.3,
    "completions/clipped_ratio": 0.1,
    "completions/mean_length": 30.0,
}
# What a sign looks like, in rows of which kind of training, and a setting that its advice names.
SIGNS = {
    "no_contrast": (GROUPS, {"frac_reward_zero_std": 1.0}, "args.num_generations (now 16)"),
    "cut_off": (GROUPS, {"completions/clipped_ratio": 0.9}, "args.max_completion_length (now 96)"),
    "empty": (GROUPS, {"completions/mean_length": 1.0}, "chat template"),
    "no_reward": (GROUPS, {"reward": None, "rewards/accuracy/mean": None}, "reward.functions.accuracy"),
    "missing_reward": (GROUPS, {"rewards/judge/missing": 0.25}, "reward.functions.judge"),
    "silent_reward": (GROUPS, {"rewards/format/mean": None}, "reward.functions.format"),
    "no_gradient": ({"mean_token_accuracy": 0.5}, {"grad_norm": 0.0, "loss": 0.0}, "args.max_length (now 512)"),
    "not_a_number": ({}, {"grad_norm": None}, "args.learning_rate (now 1e-05)"),
    "no_margin": ({}, {"rewards/margins": 0.0}, "args.beta (now 0.1)"),
    "no_learning_rate": ({}, {"learning_rate": 0.0}, "args.warmup_steps (now 10)"),
}


def watched(rows, args=ARGS, **changes):
    tracker = SymptomTracker(SimpleNamespace(**{**vars(args), **changes}))
    for row in rows:
        tracker.observe(row)
    return tracker


def rows(steps, *parts):
    merged = {key: value for part in parts for key, value in part.items()}
    return [{"step": step} | merged for step in steps]


def given(tracker):
    return [(alert.kind, alert.step, alert.last_step) for alert in tracker.alerts]


@pytest.mark.parametrize("kind", SIGNS)
def test_a_sign_that_does_not_go_away_is_said_within_few_steps_and_names_what_to_change(kind):
    base, sign, advice = SIGNS[kind]
    tracker = watched(rows(range(1, 11), HEALTHY, base, sign))
    assert given(tracker) == [(kind, 1, 10)]
    assert advice in tracker.alerts[0].do
    quickest = next(n for n in range(1, 11) if watched(rows(range(1, n + 1), HEALTHY, base, sign)).alerts)
    assert quickest <= {"silent_reward": 10, "no_margin": 5}.get(kind, 3)


@pytest.mark.parametrize("base", [{}, GROUPS, {"mean_token_accuracy": 0.0}, {"rewards/margins": 0.1}])
def test_a_training_that_learns_is_silent(base):
    tracker = watched(rows(range(1, 200), HEALTHY, base))
    tracker.end()
    assert tracker.alerts == []


def test_single_steps_are_chance_and_a_learned_task_has_several_in_a_row():
    same = {"frac_reward_zero_std": 1.0}
    seen = rows([1], HEALTHY, GROUPS) + rows([2, 3, 4, 5], HEALTHY, GROUPS, same)
    seen += rows([6], HEALTHY, GROUPS) + rows([7], HEALTHY, GROUPS, same)
    assert watched(seen).alerts == []
    assert given(watched(seen + rows(range(8, 20), HEALTHY, GROUPS, same))) == [("no_contrast", 7, 19)]


def test_arguments_with_groups_and_no_rollouts_of_several_steps_are_watched():
    once = {name: value for name, value in vars(ARGS).items() if name not in ("steps_per_generation", "num_iterations")}
    same = rows(range(1, 6), HEALTHY, GROUPS, {"frac_reward_zero_std": 1.0})
    assert given(watched(same, args=SimpleNamespace(**once))) == given(watched(same)) != []


def test_few_groups_a_step_need_more_steps():
    same = rows(range(1, 6), HEALTHY, GROUPS, {"frac_reward_zero_std": 1.0})
    assert watched(same[:4], generation_batch_size=32).alerts == []
    assert given(watched(same, generation_batch_size=32)) == [("no_contrast", 1, 5)]


def test_groups_that_are_replaced_by_stored_ones_are_learned_from():
    replayed = {"frac_reward_zero_std": 1.0, "replay/rescued": 0.5}
    assert watched(rows(range(1, 30), HEALTHY, GROUPS, replayed)).alerts == []


def test_what_a_filter_has_taken_away_is_said_so():
    kept = {"frac_reward_zero_std": 1.0, "gfpo/no_contrast_sampled": 0.25}
    alert = watched(rows(range(1, 4), HEALTHY, GROUPS, kept)).alerts[0]
    assert "filter" in alert.text and "args.num_remains_in_group (now 4)" in alert.do


def test_an_alert_that_ceased_to_hold_keeps_its_range_and_one_that_comes_back_goes_on_counting():
    cut = {"completions/clipped_ratio": 1.0}
    seen = rows(range(1, 6), HEALTHY, GROUPS, cut) + rows(range(6, 20), HEALTHY, GROUPS)
    alert = watched(seen).alerts[0]
    assert sentence(alert).startswith("steps 1 to 5: 100%")
    alert = watched(seen + rows(range(20, 30), HEALTHY, GROUPS, cut)).alerts[0]
    assert sentence(alert).startswith("15 of the steps 1 to 29: ")


def test_a_row_stands_for_the_steps_that_it_is_the_mean_of():
    same = rows([10], HEALTHY, GROUPS, {"frac_reward_zero_std": 1.0})
    assert given(watched(same)) == [("no_contrast", 1, 10)]
    # The gradient of a row is that of its last step alone.
    assert watched(rows([10, 20], HEALTHY, GROUPS, {"grad_norm": 0.0})).alerts == []


def test_steps_that_sample_nothing_say_nothing_of_rewards():
    sampled = GROUPS | {"frac_reward_zero_std": 1.0}
    seen = []
    for step in range(1, 10):
        seen += rows([step], HEALTHY, sampled if step % 4 == 1 else {})
    assert given(watched(seen, steps_per_generation=4)) == [("no_contrast", 1, 9)]


def test_of_a_short_training_what_held_at_all_of_its_steps_is_said_when_it_is_over():
    tracker = watched(rows([1, 2], HEALTHY, GROUPS, {"frac_reward_zero_std": 1.0}))
    assert tracker.alerts == []
    tracker.end()
    assert given(tracker) == [("no_contrast", 1, 2)]


def test_nothing_to_train_on_is_told_from_weights_that_are_lost():
    nothing = {"loss": 0.0, "grad_norm": None, "mean_token_accuracy": 0.0}
    assert "args.max_length" in watched(rows([1, 2], HEALTHY, nothing)).alerts[0].do
    lost = rows([1], HEALTHY, {"mean_token_accuracy": 0.9}) + rows([2, 3], HEALTHY, nothing)
    assert "args.learning_rate" in watched(lost).alerts[0].do


def test_fp16_may_look_for_its_scale():
    overflow = rows([1, 2, 3], HEALTHY, {"grad_norm": None})
    assert watched(overflow, fp16=True).alerts == []
    assert given(watched(overflow + rows([4, 5], HEALTHY, {"grad_norm": None}), fp16=True))


def trained(run, logs, rank_zero=True):
    """The callback on its way through a training that logs so."""
    progress = Progress(run.progress)
    health, state = HealthMonitor(run, progress), TrainerState(max_steps=9, is_world_process_zero=rank_zero)
    health.on_train_begin(ARGS, state, TrainerControl())
    for row in logs:
        state.global_step = row["step"]
        health.on_log(ARGS, state, TrainerControl(), logs={key: row[key] for key in row if key != "step"})
        run.metrics.open("a").write(json.dumps(row) + "\n")
    health.on_train_end(ARGS, state, TrainerControl())


def test_a_resumed_run_has_the_alerts_of_one_that_was_never_interrupted(tmp_path):
    cut = rows(range(1, 10), HEALTHY, GROUPS, {"completions/clipped_ratio": 1.0})
    alerts = []
    for name, attempts in (("whole", [cut]), ("in two", [cut[:4], cut[4:]]), ("before it is said", [cut[:2], cut[2:]])):
        run = Run(tmp_path / name)
        run.folder.mkdir()
        manifest.create(run)
        for logs in attempts:
            trained(run, logs)
        alerts.append(read_json(run.manifest)["alerts"])
        assert read_json(run.progress)["alerts"] == alerts[-1]
    assert alerts[0] == alerts[1] == alerts[2] and alerts[0][0]["steps"] == 9


def test_steps_that_are_done_again_are_not_counted_twice(tmp_path):
    """The checkpoint was at step 2, the alert of step 3 is written again."""
    run = Run(tmp_path)
    manifest.create(run)
    cut = rows(range(1, 10), HEALTHY, GROUPS, {"completions/clipped_ratio": 1.0})
    trained(run, cut[:5])
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in cut[:2]))
    trained(run, rows(range(3, 10), HEALTHY, GROUPS))
    assert read_json(run.manifest).get("alerts", []) == []


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_mean_over_nothing_is_seen_however_the_trainer_logs_it(nothing, tmp_path):
    """TRL logs None where every reward of a step is missing."""
    run = Run(tmp_path)
    manifest.create(run)
    silent = {"reward": nothing, "rewards/accuracy/mean": nothing, "grad_norm": 0.0, "loss": 0.0}
    trained(run, rows(range(1, 4), HEALTHY, GROUPS, silent))
    assert [alert["kind"] for alert in read_json(run.manifest)["alerts"]] == ["no_reward"]


def test_a_single_reward_that_cannot_be_trained_on_is_said_at_once_and_counted(tmp_path):
    missing = {"rewards/accuracy/missing": 0.5}
    seen = rows(range(1, 9), HEALTHY, GROUPS) + rows([9], HEALTHY, GROUPS, missing) + rows([10], HEALTHY, GROUPS)
    alert = watched(seen).alerts[0]
    assert given(watched(seen)) == [("missing_reward", 9, 9)] and "0.5 of the completions" in alert.text


def test_other_ranks_write_nothing(tmp_path):
    run = Run(tmp_path)
    trained(run, rows(range(1, 10), HEALTHY, GROUPS, {"completions/clipped_ratio": 1.0}), rank_zero=False)
    assert not run.manifest.exists() and not run.progress.exists()
