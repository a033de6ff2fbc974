"""A reward function that misbehaves is named, with the completion that did it."""

import pytest
from torch import nn

from expctl.worker.rewards import GuardedReward, RewardError, reward_function

COMPLETIONS = ["good", "bad", "good"]


def fails_on_bad(completions, answer, **kwargs):
    assert len(completions) == len(answer)
    return [1.0 / (completion != "bad") for completion in completions]


async def later(completions, **kwargs):
    return [0.0] * len(completions)


def scaled(completions, scale=1.0, **kwargs):
    return [scale] * len(completions)


class Counting:
    def __init__(self, value):
        self.value = value

    def __call__(self, completions, **kwargs):
        return [self.value] * len(completions)


def test_the_completion_that_makes_it_raise_is_shown():
    with pytest.raises(RewardError, match=r"reward 'mine' raised ZeroDivisionError.*'bad'"):
        GuardedReward(fails_on_bad, "mine")(completions=COMPLETIONS, answer=["1", "2", "3"], trainer_state=object())


def test_a_function_that_raised_is_not_called_again_and_the_batch_is_named_where_no_completion_is():
    calls = []

    def together(completions, **kwargs):
        calls.append(len(completions))
        raise ValueError("too many")

    with pytest.raises(RewardError, match="reward 'mine' raised ValueError: too many; the first of 3 .* 'good'$"):
        GuardedReward(together, "mine")(completions=COMPLETIONS)
    assert calls == [3]


@pytest.mark.parametrize(
    ("returned", "said"),
    [([1.0], "1 values for 3"), (None, "NoneType, not a list of 3"), (["a", 1.0, 1.0], "'a' on the completion 'good'")],
)
def test_anything_but_a_number_a_completion_is_refused(returned, said):
    with pytest.raises(RewardError, match=said):
        GuardedReward(lambda completions, **kwargs: returned, "mine")(completions=COMPLETIONS)


def test_none_means_not_scored_and_numbers_pass():
    import numpy

    given = [None, 1, numpy.float32(0.5)]
    assert GuardedReward(lambda completions, **kwargs: given, "mine")(completions=COMPLETIONS) == [None, 1.0, 0.5]


def test_functions_with_and_without_partial_and_callable_objects_are_called_by_the_trainer():
    for node in ({"_target_": f"{__name__}.scaled", "scale": 2.0},
                 {"_target_": f"{__name__}.scaled", "scale": 2.0, "_partial_": True},
                 {"_target_": f"{__name__}.Counting", "value": 2.0}):  # fmt: skip
        reward = reward_function(node, "mine")
        assert reward.__name__ == "mine"
        assert reward(completions=COMPLETIONS) == [2.0, 2.0, 2.0]


def test_reward_models_are_passed_on():
    node = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}
    assert isinstance(reward_function(node, "m"), nn.Module)
