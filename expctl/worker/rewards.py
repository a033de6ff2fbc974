"""Reward functions are users' code: when one fails, say which, on what completion, and stop the run."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from hydra.utils import get_object, instantiate
from torch import nn


class RewardError(Exception):
    """A reward function raised, or returned something else than one number (or None) a completion."""


def reward_function(node: dict[str, Any], name: str) -> Any:
    """The reward that a config node names, under its name in the config and with its values checked.

    A function is called by TRL, not here, whether or not the node says `_partial_`. Reward models (a module or a hub
    id) and asynchronous functions are passed on as they are: TRL runs them itself.
    """
    target = get_object(node["_target_"])
    extra = {"_partial_": True} if inspect.isfunction(target) else {}
    reward = instantiate(node, _convert_="all", **extra)
    if isinstance(reward, nn.Module | str):
        return reward
    if inspect.iscoroutinefunction(target):
        reward.__name__ = name
        return reward
    return GuardedReward(reward, name)


class GuardedReward:
    """Calls a reward function as TRL does and checks what comes back.

    Raises:
        RewardError: naming the function and the completion.
    """

    def __init__(self, reward: Callable[..., Sequence[float | None]], name: str):
        self._reward = reward
        self.__name__ = name

    def __call__(self, completions: list, **columns: Any) -> list[float | None]:
        try:
            rewards = self._reward(completions=completions, **columns)
        except Exception as error:
            culprit = self._culprit(completions, columns)
            shown = f" on the completion {_shown(culprit)}" if culprit is not None else ""
            raise RewardError(f"reward '{self.__name__}' raised {type(error).__name__}: {error}{shown}") from error
        return self._checked(rewards, completions)

    def _checked(self, rewards: Any, completions: list) -> list[float | None]:
        try:
            values = list(rewards)
        except TypeError:
            raise RewardError(
                f"reward '{self.__name__}' returned {type(rewards).__name__}, not a list of {len(completions)} "
                f"numbers; the first completion was {_shown(completions[0])}"
            ) from None
        if len(values) != len(completions):
            raise RewardError(
                f"reward '{self.__name__}' returned {len(values)} values for {len(completions)} completions; "
                f"the first was {_shown(completions[0])}"
            )
        for value, completion in zip(values, completions, strict=True):
            if value is not None and not hasattr(value, "__float__"):
                raise RewardError(f"reward '{self.__name__}' returned {value!r} on the completion {_shown(completion)}")
        return [None if value is None else float(value) for value in values]

    def _culprit(self, completions: list, columns: dict[str, Any]) -> Any | None:
        """The completion that makes the function raise when it is alone; None when no single one does."""
        for index, completion in enumerate(completions):
            one = {key: [value[index]] if _is_column(value, completions) else value for key, value in columns.items()}
            try:
                self._reward(completions=[completion], **one)
            except Exception:
                return completion
        return None


def _is_column(value: Any, completions: list) -> bool:
    return isinstance(value, list) and len(value) == len(completions)


def _shown(completion: Any) -> str:
    text = completion if isinstance(completion, str) else completion[-1]["content"] if completion else ""
    return repr(text if len(text) <= 200 else text[:200] + "...")
