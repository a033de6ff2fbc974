"""A reward function that misbehaves is named, with the completion that did it."""

import asyncio
import inspect
import math
import re
from types import SimpleNamespace

import numpy
import pytest
import torch
from torch import nn
from trl.trainer.utils import is_async_callable

from expctl.worker.reward_failure import RewardError
from expctl.worker.reward_guard import AsyncGuardedReward, Conduct, GuardedReward
from expctl.worker.rewards import reward_function, reward_functions, set_end_tokens

COMPLETIONS = ["good", "bad", "good"]


def fails_on_bad(completions, answer, **kwargs):
    assert len(completions) == len(answer)
    return [1.0 / (completion != "bad") for completion in completions]


async def later(completions, values, **kwargs):
    return values


class Later:
    async def __call__(self, completions, values, **kwargs):
        return values


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
    ("returned", "message"),
    [([1.0], "1 values for 3"), (None, "NoneType, not a list of 3"), (["a", 1.0, 1.0], "'a' on the completion 'good'")],
)
def test_anything_but_a_number_a_completion_is_refused(returned, message):
    with pytest.raises(RewardError, match=message):
        GuardedReward(lambda completions, **kwargs: returned, "mine")(completions=COMPLETIONS)


def test_none_means_not_scored_and_numbers_pass():
    given = [None, 1, numpy.float32(0.5)]
    assert GuardedReward(lambda completions, **kwargs: given, "mine")(completions=COMPLETIONS) == [None, 1.0, 0.5]


def test_functions_with_and_without_partial_and_callable_objects_are_called_by_the_trainer():
    for node in (
        {"_target_": f"{__name__}.scaled", "scale": 2.0},
        {"_target_": f"{__name__}.scaled", "scale": 2.0, "_partial_": True},
        {"_target_": f"{__name__}.Counting", "value": 2.0},
    ):
        reward = reward_function(node, "mine")
        assert reward.__name__ == "mine"
        assert reward(completions=COMPLETIONS) == [2.0, 2.0, 2.0]


def guarded(returned, *, on_error="stop", is_async=False):
    """A guarded function that returns, or raises, this."""

    def function(completions, **kwargs):
        if isinstance(returned, Exception):
            raise returned
        return returned

    async def later(completions, **kwargs):
        return function(completions, **kwargs)

    conduct = Conduct(on_error)
    return AsyncGuardedReward(later, "mine", conduct) if is_async else GuardedReward(function, "mine", conduct)


def call(reward, **columns):
    """What a reward gives for the completions, and the metrics that it logged."""
    logged = []
    given = {"completions": COMPLETIONS, "log_metric": lambda name, value: logged.append((name, value)), **columns}
    values = reward(**given)
    return (asyncio.run(values) if inspect.isawaitable(values) else values), logged


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39, numpy.float64("inf"), torch.tensor(math.nan)])
def test_what_is_not_finite_counts_as_missing_and_is_said_once(bad, is_async, caplog):
    reward = guarded([1.0, bad, None], is_async=is_async)
    state = SimpleNamespace(global_step=7)
    assert call(reward, trainer_state=state) == ([1.0, None, None], [("rewards/mine/missing", pytest.approx(1 / 3))])
    assert call(reward, trainer_state=state)[1] == [("rewards/mine/missing", pytest.approx(1 / 3))]
    assert len(caplog.messages) == 1
    assert re.search(r"'mine' returned .* on the completion 'bad'; it counts .* after step 7", caplog.text)


@pytest.mark.parametrize("is_async", [False, True])
def test_nothing_is_counted_where_nothing_is_missing(is_async, caplog):
    assert call(guarded([1.0, None, 0.0], is_async=is_async)) == ([1.0, None, 0.0], [])
    assert not caplog.messages


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failing_call_stops_or_counts_the_batch_as_missing(is_async, caplog):
    with pytest.raises(RewardError, match="'mine' raised OSError: busy; the first of 3 completions was 'good'"):
        call(guarded(OSError("busy"), is_async=is_async))
    reward = guarded(OSError("busy"), is_async=is_async, on_error="missing")
    assert call(reward) == ([None, None, None], [("rewards/mine/missing", 1.0)])
    assert "'mine' raised OSError: busy" in caplog.text and "the batch counts as missing" in caplog.text


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("returned", [[1.0], None, ["1", 1.0, 1.0], [[1.0, 2.0], 1.0, 1.0], torch.tensor(1.0)])
def test_a_wrong_shape_or_type_stops_whatever_is_to_be_passed_over(returned, is_async):
    with pytest.raises(RewardError, match="reward 'mine' returned"):
        call(guarded(returned, is_async=is_async, on_error="missing"))


def test_a_function_that_cannot_be_called_stops_whatever_is_to_be_passed_over():
    with pytest.raises(RewardError, match="unexpected keyword argument"):
        call(GuardedReward(lambda completions: [1.0] * 3, "mine", Conduct("missing")))


def test_a_generator_that_raises_half_way_is_named():
    def half(completions, **kwargs):
        for completion in completions:
            yield 1.0 / (completion != "bad")

    with pytest.raises(RewardError, match="'mine' raised ZeroDivisionError.*it had come to 'bad' to the prompt 'b'"):
        call(GuardedReward(half, "mine"), prompts=["a", "b", "c"])


def test_what_is_shown_of_a_failure_is_short():
    long = ["x" * 5000 + str(number) for number in range(3)]
    with pytest.raises(RewardError) as raised:
        guarded(ValueError("y" * 5000))(completions=long, prompts=long)
    assert len(str(raised.value)) < 1500


def test_async_functions_and_callable_objects_are_guarded_and_seen_as_asynchronous():
    for name in ("later", "Later"):
        reward = reward_function({"_target_": f"{__name__}.{name}"}, "mine")
        assert is_async_callable(reward) and reward.__name__ == "mine"
        with pytest.raises(RewardError, match="reward 'mine' returned 'a' on the completion 'good'"):
            call(reward, values=["a", 1.0, 1.0])


IDS = [[5, 2], [5, 6], [5, 0]]


@pytest.mark.parametrize(
    ("function", "is_told"),
    [
        (lambda completions, truncated, **kwargs: truncated, True),
        (lambda completions, **kwargs: kwargs["truncated"], True),
        (lambda completions, prompts, completion_ids: [0, 0, 0], False),
    ],
)
def test_who_takes_it_is_told_which_completions_were_cut_off(function, is_told):
    reward = GuardedReward(function, "mine")
    reward.end_tokens = frozenset({0, 2})  # padding and an end
    assert reward(completions=COMPLETIONS, prompts=["p"] * 3, completion_ids=IDS) == [0.0, float(is_told), 0.0]


def test_a_column_of_that_name_is_refused():
    reward = GuardedReward(scaled, "mine")
    reward.end_tokens = frozenset({2})
    with pytest.raises(RewardError, match="a column 'truncated'"):
        reward(completions=COMPLETIONS, completion_ids=IDS, truncated=["no"] * 3)


def test_reward_models_are_passed_on():
    node = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}
    assert isinstance(reward_function(node, "m"), nn.Module)


class Flaky:
    """Fails so many times, and counts its calls."""

    def __init__(self, failures, is_async):
        self.failures, self.calls = failures, 0
        self.function = self.later if is_async else self.now

    def now(self, completions, **kwargs):
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError("busy")
        return [1.0] * len(completions)

    async def later(self, completions, **kwargs):
        return self.now(completions, **kwargs)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("failures", "retries", "calls"), [(1, 0, 1), (2, 1, 2), (2, 2, 3), (0, 3, 1)])
def test_a_call_that_fails_is_made_again_as_often_as_was_said(is_async, failures, retries, calls, pauses):
    flaky = Flaky(failures, is_async)
    guard = AsyncGuardedReward if is_async else GuardedReward
    values, logged = call(guard(flaky.function, "mine", Conduct("missing", retries=retries)))
    assert flaky.calls == calls and pauses == [1.0, 2.0][: calls - 1]
    assert values == ([1.0] * 3 if calls > failures else [None] * 3)
    assert logged.count(("rewards/mine/retries", 1.0)) == calls - 1


@pytest.fixture
def pauses(monkeypatch):
    """The seconds that guards wait before they call again, which none of them does here."""
    waited = []

    async def wait(seconds):
        waited.append(seconds)

    monkeypatch.setattr("expctl.worker.reward_guard.time.sleep", waited.append)
    monkeypatch.setattr("expctl.worker.reward_guard.asyncio.sleep", wait)
    return waited


def test_a_function_that_cannot_be_called_is_called_once(pauses):
    with pytest.raises(RewardError, match="unexpected keyword argument"):
        call(GuardedReward(lambda completions: [1.0] * 3, "mine", Conduct("missing", retries=3)))
    assert pauses == []


def test_a_call_beyond_its_time_limit_is_ended_and_counts_as_missing():
    ended = []

    async def hangs(completions, **kwargs):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(RewardError, match="'judge' raised TimeoutError: no answer within 0.01 seconds"):
        call(AsyncGuardedReward(hangs, "judge", Conduct(time_limit=0.01)))
    assert call(AsyncGuardedReward(hangs, "judge", Conduct("missing", time_limit=0.01)))[0] == [None] * 3
    assert ended == [True, True]


def test_a_time_limit_for_a_function_that_does_not_wait_is_refused():
    with pytest.raises(RewardError, match="'mine' has a time limit and is no `async def`"):
        reward_functions({"functions": {"mine": {"_target_": f"{__name__}.scaled"}}, "time_limit": {"mine": 1}})


def right(completions, calls, **kwargs):
    calls.append(list(completions))
    return [None if completion == "unknown" else float(completion == "good") for completion in completions]


async def right_later(completions, calls, **kwargs):
    return right(completions, calls)


async def one_later(completions, **kwargs):
    return [1.0] * len(completions)


def together(functions, **columns):
    """The values of each function, the asynchronous ones waited for together."""

    async def gathered():
        values = [function(completions=COMPLETIONS_OF_GATES, **columns) for function in functions]
        pending = [value for value in values if inspect.isawaitable(value)]
        results = iter(await asyncio.gather(*pending))
        return [next(results) if inspect.isawaitable(value) else value for value in values]

    return asyncio.run(gathered())


COMPLETIONS_OF_GATES = ["good", "bad", "unknown"]


@pytest.mark.parametrize("condition", ["right", "right_later"])
@pytest.mark.parametrize("form", ["scaled", "one_later"])
def test_a_reward_behind_a_gate_counts_where_the_other_is_above_zero_and_the_other_is_asked_once(condition, form):
    nodes = {"form": {"_target_": f"{__name__}.{form}"}, "right": {"_target_": f"{__name__}.{condition}"}}
    nodes["short"] = {"_target_": f"{__name__}.scaled", "scale": -1.0}
    gates = {"form": "right", "short": "form"}
    functions = reward_functions({"functions": nodes, "gates": gates})
    calls = []
    values = together(functions, calls=calls)
    assert values == [[1.0, 0.0, None], [1.0, 0.0, None], [-1.0, 0.0, None]]
    assert calls == [COMPLETIONS_OF_GATES]
    assert together(functions[1:2], calls=calls)[0] == [1.0, 0.0, None]


def test_a_gate_for_finished_completions_pays_nothing_for_the_others():
    """Cut off, still thinking, thinking since the prompt, and done."""
    node = {"functions": {"mine": {"_target_": f"{__name__}.scaled"}}, "gates": {"mine": "finished"}}
    [reward] = reward_functions(node)
    reward.end_tokens = frozenset({2})
    completions = ["a", "<think>a", "a", "<think>b</think>a"]
    columns = {"completion_ids": [[5], [5, 2], [5, 2], [5, 2]], "prompts": ["", "", "q<think>", "q"]}
    assert reward(completions=completions, **columns) == [0.0, 0.0, 0.0, 1.0]
    told = GuardedReward(lambda completions, unfinished, **kwargs: unfinished, "mine")
    told.end_tokens = frozenset({2})
    assert told(completions=completions, **columns) == [1.0, 1.0, 1.0, 0.0]


def right_or_less(completions, answer, **columns):
    return [float(value) for value in answer]


def asks_itself(completions, answer, truncated, **columns):
    return [float(value) for value in answer]


@pytest.mark.parametrize(
    ("target", "gates", "paid"),
    [
        ("right_or_less", None, [0.0, 0.0, -1.0, 1.0]),
        ("right_or_less", {"mine": "always"}, [1.0, 1.0, -1.0, 1.0]),
        ("right_or_less", {"mine": "one"}, [0.0, 0.0, -1.0, 1.0]),
        ("asks_itself", None, [1.0, 1.0, -1.0, 1.0]),
    ],
)
def test_what_compares_with_a_column_pays_nothing_for_the_unfinished_unless_it_asks_itself(target, gates, paid):
    """Cut off, still thinking, cut off and wrong, which must not pay better than wrong, and done."""
    nodes = {"one": {"_target_": f"{__name__}.scaled"}, "mine": {"_target_": f"{__name__}.{target}"}}
    one, mine = reward_functions({"functions": nodes, "gates": gates})
    said = {}
    set_end_tokens([one, mine], SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=2)), ENDS_WITH_2)
    columns = {"completion_ids": [[5], [5, 2], [5], [5, 2]], "answer": [1, 1, -1, 1], "log_extra": said.__setitem__}
    completions = ["a", "<think>a", "b", "c"]
    assert one(completions=completions, **columns) == [1.0] * 4
    assert said.pop("ending") == ["cut off", "reasoning not closed", "cut off", "ended"]
    assert mine(completions=completions, **columns) == paid
    assert said == {}  # one of the functions says it


ENDS_WITH_2 = SimpleNamespace(eos_token_id=2, pad_token_id=0)


def test_gates_in_a_circle_are_refused():
    nodes = {name: {"_target_": f"{__name__}.scaled"} for name in "abc"}
    with pytest.raises(RewardError, match="the gates of a, b ask each other"):
        reward_functions({"functions": nodes, "gates": {"a": "b", "b": "a"}})
