"""A run that is saved and resumed equals the run that was never interrupted, to the last bit."""

import logging

import pytest
import torch
import trl
from replay_setup import ACCUMULATE, EQUAL, MIXED, REUSE, STRONG, replay_trainer

from expctl.algorithms.grpo import GRPOTrainer
from expctl.algorithms.gspo_token import GRPOTrainer as GSPOTokenTrainer

SAVE_EVERY_STEP = {"save_strategy": "steps", "save_steps": 1, "max_steps": 8}


def by_step(completions, trainer_state, **_):
    """Rewards that know their step, so that a resumed run asks for the same ones."""
    groups = [[EQUAL, MIXED], [STRONG, EQUAL], [EQUAL, EQUAL], [MIXED, EQUAL]][trainer_state.global_step % 4]
    return [reward for group in groups for reward in group]


def state_of(trainer):
    weights = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    moments = [value for state in trainer.optimizer.state.values() for value in state.values()]
    logged = [
        {key: value for key, value in entry.items() if key != "step_time"}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    return weights, moments, logged


def assert_same_run(one, two):
    weights, moments, logged = state_of(one)
    other_weights, other_moments, other_logged = state_of(two)
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    assert all(torch.equal(a, b) for a, b in zip(moments, other_moments, strict=True))
    assert logged == other_logged


def assert_same_buffer(one, two):
    assert [(g.serial, g.priority, g.step, g.uses) for g in one.groups] == [
        (g.serial, g.priority, g.step, g.uses) for g in two.groups
    ]
    assert one.nbytes == two.nbytes > 0
    for a, b in zip(one.groups, two.groups, strict=True):
        for left, right in zip(a.rows, b.rows, strict=True):
            assert left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
    assert [g.serial for g in one.draw(2, 8)] == [g.serial for g in two.draw(2, 8)]


@pytest.mark.parametrize(
    ("reuse", "interrupted_at"),
    [
        ({}, 3),
        (ACCUMULATE, 3),
        (REUSE, 3),
        (REUSE, 4),
        (REUSE, 5),
        ({"num_iterations": 3}, 4),
    ],
)
def test_a_resumed_replay_run_equals_the_uninterrupted_one(tmp_path, reuse, interrupted_at):
    options = {"replay_max_uses": 2, "replay_max_age": 5, **SAVE_EVERY_STEP, **reuse}
    whole = replay_trainer(tmp_path, by_step, **options)
    whole.train()
    resumed = replay_trainer(tmp_path, by_step, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{interrupted_at}"))
    assert_same_run(whole, resumed)
    assert sum(entry.get("replay/rescued", 0) for entry in whole.state.log_history) > 0
    assert_same_buffer(whole.replay_buffer, resumed.replay_buffer)


@pytest.mark.parametrize("trainer", [GRPOTrainer, GSPOTokenTrainer])
@pytest.mark.parametrize("interrupted_at", [2, 3, 4, 5])
def test_a_run_that_samples_resumes_to_the_last_bit_in_the_middle_of_a_rollout(tmp_path, trainer, interrupted_at):
    level = "sequence_token" if trainer is GSPOTokenTrainer else "token"
    options = {"rollout_func": None, "importance_sampling_level": level, **SAVE_EVERY_STEP, **REUSE}

    def distinct(completions, **_):
        return [float(len(set(text))) for text in completions]

    whole = replay_trainer(tmp_path, distinct, trainer=trainer, **options)
    whole.train()
    resumed = replay_trainer(tmp_path, distinct, trainer=trainer, **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{interrupted_at}"))
    assert_same_run(whole, resumed)


def test_trls_own_trainer_does_not_resume_exactly_in_the_middle_of_a_rollout(tmp_path):
    # Why RolloutCheckpoint exists: should this fail, TRL has learned it and the mixin can go.
    runs = []
    for checkpoint in (None, str(tmp_path / "checkpoint-2")):
        run = replay_trainer(tmp_path, by_step, trainer=trl.GRPOTrainer, **SAVE_EVERY_STEP, **REUSE)
        run.train(resume_from_checkpoint=checkpoint)
        runs.append(state_of(run)[0])
    assert any(not torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_grpo_trains_bit_for_bit_like_trl(tmp_path):
    runs = []
    for trainer in (GRPOTrainer, trl.GRPOTrainer):
        run = replay_trainer(tmp_path, by_step, trainer=trainer, **REUSE)
        run.train()
        runs.append(state_of(run)[0])
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_a_checkpoint_without_the_extra_files_is_resumed_with_a_warning(tmp_path, caplog):
    options = {**SAVE_EVERY_STEP, "max_steps": 2}
    replay_trainer(tmp_path, by_step, trainer=trl.GRPOTrainer, **options).train()
    resumed = replay_trainer(tmp_path, by_step, **options | {"max_steps": 3})
    with caplog.at_level(logging.WARNING):
        resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert "rollout_0.pt is missing" in caplog.text and "no replay_buffer.pt" in caplog.text
    assert resumed.state.global_step == 3


def test_a_checkpoint_of_another_number_of_processes_samples_again_with_a_warning(tmp_path, caplog):
    options = {**SAVE_EVERY_STEP, **REUSE}
    replay_trainer(tmp_path, by_step, trainer=GRPOTrainer, **options | {"max_steps": 2}).train()
    path = tmp_path / "checkpoint-2" / "rollout_0.pt"
    torch.save(torch.load(path, weights_only=True) | {"world_size": 4}, path)
    resumed = replay_trainer(tmp_path, by_step, trainer=GRPOTrainer, **options | {"max_steps": 3})
    with caplog.at_level(logging.WARNING):
        resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert "written by 4 processes, not 1" in caplog.text
