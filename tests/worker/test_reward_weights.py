"""Weights that change over the steps."""

from types import SimpleNamespace

import pytest
import torch

from expctl.worker.reward_weights import final_weights, schedule_weights, weight_at

SCHEDULE = [[10, 0.0], [20, 1.0], [40, 0.5]]


@pytest.mark.parametrize(
    ("step", "weight"), [(0, 0), (10, 0), (15, 0.5), (20, 1), (30, 0.75), (40, 0.5), (1000, 0.5), (float("inf"), 0.5)]
)
def test_a_weight_lies_on_the_line_between_two_steps_and_stays_before_and_after(step, weight):
    assert weight_at(SCHEDULE, step) == pytest.approx(weight)
    assert weight_at(0.3, step) == 0.3


def test_a_training_has_the_weights_of_its_step_and_an_evaluation_the_last():
    reward = {"functions": {"right": {}, "short": {}}, "weights": {"short": SCHEDULE}}
    logged = {}
    trainer = SimpleNamespace(
        reward_weights=torch.tensor(final_weights(reward)),
        state=SimpleNamespace(global_step=15),
        model=SimpleNamespace(training=True),
        _log_metric=logged.__setitem__,
    )
    trainer._calculate_rewards = lambda rows: (rows, trainer.reward_weights.tolist())
    schedule_weights(trainer, reward)
    assert trainer._calculate_rewards(7) == (7, [1.0, 0.5])
    assert logged == {"rewards/short/weight": 0.5}
    trainer.model.training = False
    assert trainer._calculate_rewards(7) == (7, [1.0, 0.5])
    trainer.state.global_step = 20
    trainer.model.training = True
    assert trainer._calculate_rewards(7) == (7, [1.0, 1.0])
    trainer.model.training = False
    assert trainer._calculate_rewards(7) == (7, [1.0, 0.5])


def test_numbers_leave_the_trainer_as_it_is():
    trainer = SimpleNamespace(_calculate_rewards=len)
    schedule_weights(trainer, {"functions": {"right": {}}, "weights": {"right": 2}})
    assert trainer._calculate_rewards is len
