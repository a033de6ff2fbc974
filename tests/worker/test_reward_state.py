"""What rewards remember is found wherever it is held, and is kept in a checkpoint or refused by name."""

import functools
from collections import deque
from types import SimpleNamespace

import numpy
import pytest
import torch
from resuming import Novelty, given

from expctl.worker.reward_state import restore_reward_states, reward_states, stateful_objects, stateful_parts


def trainer(*rewards, **attributes):
    return SimpleNamespace(reward_funcs=list(rewards), callback_handler=SimpleNamespace(callbacks=[]), **attributes)


def named(reward, name="mine"):
    reward.__name__ = name
    return reward


def test_it_is_found_in_partials_methods_callbacks_and_advantages():
    novelty = Novelty()
    assert stateful_objects(functools.partial(given, novelty=novelty)) == [novelty]
    assert stateful_objects(novelty.count) == [novelty]
    assert stateful_objects(given) == stateful_objects(Novelty) == stateful_objects(torch.nn.Linear(1, 1)) == []
    made = trainer(named(novelty), token_advantages=Novelty())
    made.callback_handler.callbacks = [SimpleNamespace(reward_funcs=[named(Novelty())])]
    assert list(stateful_parts(made)) == [
        "reward.functions.mine",
        "reward.functions (completions).mine",
        "algorithm.trainer.token_advantages",
    ]


def test_numbers_of_numpy_come_back_as_plain_ones():
    novelty = named(Novelty())
    novelty.seen = {"a": numpy.float64(0.1), "b": (numpy.int64(2), [torch.ones(2)])}
    (state,) = reward_states(trainer(novelty))["reward.functions.mine"]
    assert type(state["seen"]["a"]) is float and state["seen"]["a"] == 0.1
    assert type(state["seen"]["b"][0]) is int and torch.equal(state["seen"]["b"][1][0], torch.ones(2))


@pytest.mark.parametrize("value", [deque([1]), numpy.zeros(2), Novelty()])
def test_a_state_that_a_checkpoint_cannot_give_back_is_refused_by_name(value):
    novelty = named(Novelty())
    novelty.seen = {"a": value}
    with pytest.raises(TypeError, match=r"reward.functions.mine: Novelty.state_dict\(\) cannot be kept"):
        reward_states(trainer(novelty))


def test_a_memory_that_the_checkpoint_lacks_is_named_and_starts_anew(caplog):
    novelty = named(Novelty())
    novelty.seen = {"a": 1}
    restore_reward_states(trainer(novelty), {})
    assert novelty.seen == {"a": 1} and "reward.functions.mine" in caplog.text
    restore_reward_states(trainer(novelty), {"reward.functions.mine": [{"seen": {"b": 2}}]})
    assert novelty.seen == {"b": 2}
