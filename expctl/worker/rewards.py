"""Makes the reward functions of a config node: guarded, with their gates, and told of what ends a completion."""

import inspect
from typing import Any

from hydra.utils import get_object, instantiate
from torch import nn
from trl.trainer.utils import is_async_callable

from expctl.models.seeing import text_tokenizer
from expctl.worker.reward_endings import must_finish
from expctl.worker.reward_failure import RewardError
from expctl.worker.reward_guard import STOP, AsyncGuardedReward, Conduct, Guard, GuardedReward

FINISHED = "finished"  # of a gate: the completion ended by itself, and so did its reasoning
ALWAYS = "always"  # of a gate: a completion that did not finish counts too


def reward_functions(reward: dict[str, Any]) -> list[Any]:
    """The guarded functions of the config node `reward`, in its order, each behind its gate.

    One that compares with a column of the data and does not ask how a completion ended gives nothing for what did not
    finish (`must_finish`), unless its gate is `always`.

    Raises:
        RewardError: a time limit for a function that is not asynchronous, or a gate before or behind a reward model.
    """
    gates = reward.get("gates") or {}
    asked = {name: gate for name, gate in gates.items() if gate != ALWAYS}
    made: dict[str, Any] = {}
    for name in in_order(list(reward["functions"]), asked):
        condition = made.get(asked.get(name, ""))
        made[name] = function = reward_function(reward["functions"][name], name, conduct_of(reward, name), condition)
        if isinstance(function, Guard):
            function.if_finished = must_finish(function.function) and (name in asked or name not in gates)
        if name not in asked:
            continue
        if not isinstance(function, Guard) or (asked[name] != FINISHED and not isinstance(condition, Guard)):
            raise RewardError(f"reward '{name}' has a gate, and a reward model that the trainer runs can have none")
        function.if_finished = function.if_finished or asked[name] == FINISHED
        function.condition = condition
        if condition is not None:
            condition.is_condition = True
    return [made[name] for name in reward["functions"]]


def in_order(names: list[str], gates: dict[str, str]) -> list[str]:
    """The names with each behind the one that its gate asks.

    Raises:
        RewardError: a gate that leads back to itself.
    """
    ordered: list[str] = []
    left = list(names)
    while left:
        ready = [name for name in left if gates.get(name) not in left]
        if not ready:
            raise RewardError(f"the gates of {', '.join(left)} ask each other")
        ordered += ready
        left = [name for name in left if name not in ready]
    return ordered


def conduct_of(reward: dict[str, Any], name: str) -> Conduct:
    """What the config node `reward` says of failures of the function `name`."""
    limits, retries = reward.get("time_limit") or {}, reward.get("retries") or {}
    return Conduct(reward.get("on_error", STOP), limits.get(name), retries.get(name, 0))


def reward_function(
    node: dict[str, Any], name: str, conduct: Conduct | None = None, condition: Guard | None = None
) -> Any:
    """The guarded reward (see `GuardedReward`) of a config node, under its name in the config.

    A function is left for TRL to call, and a class is instantiated, whether or not the node says `_partial_`. Reward
    models (a module or a hub id) are passed on as they are: TRL runs them itself.
    """
    target = get_object(node["_target_"])
    extra = {}
    if inspect.isfunction(target) or inspect.isclass(target):
        extra["_partial_"] = inspect.isfunction(target)
    reward = instantiate(node, _convert_="all", **extra)
    if isinstance(reward, nn.Module | str):
        return reward
    is_async = is_async_callable(reward)
    if conduct is not None and conduct.time_limit is not None and not is_async:
        raise RewardError(
            f"reward '{name}' has a time limit and is no `async def`: a call that does not wait cannot be ended"
        )
    guard = AsyncGuardedReward if is_async or isinstance(condition, AsyncGuardedReward) else GuardedReward
    return guard(reward, name, conduct)


def set_end_tokens(rewards: list[Any], model: Any, processing_class: Any) -> None:
    """Give guarded rewards the tokens that end a completion, so that they can tell which were truncated.

    The first of them logs how each completion ended.
    """
    known = end_tokens(model, processing_class)
    guards = [reward for reward in rewards if isinstance(reward, Guard)]
    for guard in guards:
        guard.end_tokens = known
        guard.logs_endings = guard is guards[0]


def end_tokens(model: Any, processing_class: Any) -> frozenset[int]:
    """Ids of the tokens that a finished completion can end with, as TRL counts them: every EOS token, and padding."""
    tokenizer = text_tokenizer(processing_class)
    return frozenset(eos_tokens(model, tokenizer)) | ({tokenizer.pad_token_id} - {None})


def eos_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids of the tokens that end a completion: the tokenizer's, and those of the model's generation config."""
    declared = model.generation_config.eos_token_id
    if declared is None:
        declared = []
    elif isinstance(declared, int):
        declared = [declared]
    return sorted({*declared, tokenizer.eos_token_id} - {None})
