"""What reward functions and sources of advantages remember from call to call, for every checkpoint to hold.

Group filters are saved by the trainers that have them, and callbacks by transformers.
"""

import functools
import inspect
import io
import logging
from typing import Any

import numpy
import torch
from torch import nn
from transformers import Trainer

logger = logging.getLogger(__name__)


def memories(trainer: Trainer) -> dict[str, list[Any]]:
    """Key of a part -> the objects in it that have `state_dict` and `load_state_dict`, in a fixed order."""
    parts = [("reward.functions", reward) for reward in getattr(trainer, "reward_funcs", [])]
    for callback in trainer.callback_handler.callbacks:
        parts += [("reward.functions (completions)", reward) for reward in getattr(callback, "reward_funcs", [])]
    found = {f"{key}.{getattr(part, '__name__', type(part).__name__)}": stateful(part) for key, part in parts}
    found["algorithm.trainer.token_advantages"] = stateful(getattr(trainer, "token_advantages", None))
    return {key: objects for key, objects in found.items() if objects}


def stateful(part: Any) -> list[Any]:
    """The part itself or, of a partial, a method or a guard, what it holds: whatever has a state to be saved."""
    if isinstance(part, functools.partial):
        held = [part.func, *part.args, *part.keywords.values()]
        return [memory for each in held for memory in stateful(each)]
    if inspect.ismethod(part):
        return stateful(part.__self__)
    if hasattr(part, "state_dict") and hasattr(part, "load_state_dict"):
        # A model's weights are not trained here, and are where they were loaded from.
        return [] if isinstance(part, nn.Module | type) else [part]
    guarded = getattr(part, "_reward", None)
    return stateful(guarded) if guarded is not None else []


def states(trainer: Trainer) -> dict[str, list[dict[str, Any]]]:
    """The states of all memories, of values that a checkpoint can hold.

    Raises:
        TypeError: a state holds something else; names the part.
    """
    return {
        key: [_checked(memory.state_dict(), f"{key}: {type(memory).__name__}") for memory in objects]
        for key, objects in memories(trainer).items()
    }


def restore_states(trainer: Trainer, saved: dict[str, list[dict[str, Any]]]) -> None:
    """Give every memory its state of the checkpoint; one that the checkpoint lacks is named, and starts anew."""
    for key, objects in memories(trainer).items():
        if len(saved.get(key, [])) != len(objects):
            logger.warning(f"{key}: the checkpoint has no state of it, so what it remembers starts anew")
            continue
        for memory, state in zip(objects, saved[key], strict=True):
            memory.load_state_dict(state)


def _checked(state: Any, of: str) -> Any:
    """The state with numbers of numpy as plain ones, once it is known that a checkpoint gives it back."""
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
