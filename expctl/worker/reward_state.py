"""The state of reward functions and of sources of token advantages, which every checkpoint holds.

Group filters are saved by the trainers that have them, and callbacks by transformers.
"""

import functools
import inspect
import io
import logging
from typing import Any, Protocol

import numpy
import torch
from torch import nn
from transformers import Trainer

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """An object whose state a checkpoint holds."""

    def state_dict(self) -> dict[str, Any]:
        """The state, of values that a checkpoint can hold."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Take the state of a checkpoint."""


def stateful_parts(trainer: Trainer) -> dict[str, list[Stateful]]:
    """Config key of a part -> the stateful objects in it, in a fixed order."""
    parts = [("reward.functions", reward) for reward in getattr(trainer, "reward_funcs", [])]
    for callback in trainer.callback_handler.callbacks:
        parts += [("reward.functions (completions)", reward) for reward in getattr(callback, "reward_funcs", [])]
    by_key: dict[str, list[Stateful]] = {}
    for group, reward in parts:
        name = getattr(reward, "__name__", type(reward).__name__)
        by_key[f"{group}.{name}"] = stateful_objects(reward)
    by_key["algorithm.trainer.token_advantages"] = stateful_objects(getattr(trainer, "token_advantages", None))
    return {key: objects for key, objects in by_key.items() if objects}


def stateful_objects(part: Any) -> list[Stateful]:
    """The part itself where it is stateful; what a partial, a method or a guarded reward holds that is."""
    if isinstance(part, functools.partial):
        objects: list[Stateful] = []
        for held in (part.func, *part.args, *part.keywords.values()):
            objects += stateful_objects(held)
        return objects
    if inspect.ismethod(part):
        return stateful_objects(part.__self__)
    if hasattr(part, "state_dict") and hasattr(part, "load_state_dict"):
        # A model's weights are not trained here, and stay where they were loaded from.
        return [] if isinstance(part, nn.Module | type) else [part]
    guarded = getattr(part, "_reward", None)
    return [] if guarded is None else stateful_objects(guarded)


def reward_states(trainer: Trainer) -> dict[str, list[dict[str, Any]]]:
    """The states of all stateful parts, as a checkpoint holds them.

    Raises:
        TypeError: a state has a value that a checkpoint cannot hold; names the part.
    """
    states: dict[str, list[dict[str, Any]]] = {}
    for key, objects in stateful_parts(trainer).items():
        states[key] = [_checked(part.state_dict(), f"{key}: {type(part).__name__}") for part in objects]
    return states


def restore_reward_states(trainer: Trainer, saved: dict[str, list[dict[str, Any]]]) -> None:
    """Give every stateful part its state of the checkpoint; warn of one that the checkpoint lacks."""
    for key, objects in stateful_parts(trainer).items():
        if len(saved.get(key, [])) != len(objects):
            logger.warning(f"{key}: the checkpoint has no state of it, so what it remembers starts anew")
            continue
        for part, state in zip(objects, saved[key], strict=True):
            part.load_state_dict(state)


def _checked(state: Any, of: str) -> Any:
    """The state with numpy's numbers as plain ones, once it is known that it can be saved and loaded."""
    state = _plain(state)
    written = io.BytesIO()
    try:
        torch.save(state, written)
        written.seek(0)
        torch.load(written, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TypeError(
            f"{of}.state_dict() cannot be kept in a checkpoint: it may hold texts, numbers, None, lists, tuples, sets, "
            f"dicts and tensors ({str(error).splitlines()[0]:.200})"
        ) from error
    return state


def _plain(value: Any) -> Any:
    if isinstance(value, numpy.generic):
        return value.item()
    if type(value) is dict:
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value
