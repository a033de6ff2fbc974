"""What reward functions return: one number a completion, or None where there is nothing to say of it."""

import inspect
import math
from typing import Any

import torch

from expctl.worker.reward_failure import RewardError, shortened

Values = list[float | None]
# The trainer holds rewards in single precision, where a larger value becomes infinite.
LARGEST = torch.finfo(torch.float32).max


def as_list(returned: Any) -> Any:
    """What a function returned, as a list where it can be one. A generator runs here, and may raise."""
    if inspect.isgenerator(returned):
        return list(returned)
    try:
        return list(returned)
    except TypeError:
        return returned


async def awaited(value: Any) -> Any:
    """The value itself, or what it comes to where it must be waited for."""
    return await value if inspect.isawaitable(value) else value


def numbers(name: str, returned: Any, completions: list[Any]) -> Values:
    """What the function `name` returned as numbers, None where it gave None.

    Raises:
        RewardError: it is no list of one number (or None) per completion.
    """
    if not isinstance(returned, list):
        raise RewardError(
            f"reward '{name}' returned {type(returned).__name__}, not a list of {len(completions)} "
            f"numbers; the first completion was {shortened(completions[0])}"
        )
    if len(returned) != len(completions):
        raise RewardError(
            f"reward '{name}' returned {len(returned)} values for {len(completions)} completions; "
            f"the first was {shortened(completions[0])}"
        )
    return [_number(name, value, completion) for value, completion in zip(returned, completions, strict=True)]


def is_usable(value: float) -> bool:
    """Whether the trainer can hold a reward: it is finite in single precision."""
    return math.isfinite(value) and abs(value) <= LARGEST


def where_positive(condition: Values, values: Values) -> Values:
    """The values where the condition is above zero, else 0.0; None where either is None."""
    return [_passed(value, allows) for value, allows in zip(values, condition, strict=True)]


def _passed(value: float | None, allows: float | None) -> float | None:
    if value is None or allows is None:
        return None
    return value if allows > 0 else 0.0


def _number(name: str, value: Any, completion: Any) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, str | bytes):
            raise TypeError("a string is not accepted, even where float() could parse it")
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise RewardError(
            f"reward '{name}' returned {shortened(value)} on the completion {shortened(completion)}"
        ) from None
