"""How completions ended, and which reward functions ask that themselves."""

import inspect
from collections.abc import Callable
from typing import Any

from expctl.algorithms.completion_log import CUT_OFF, ENDED, REASONING_OPEN
from expctl.rewards.completions import final_texts

TRUNCATED, UNFINISHED = "truncated", "unfinished"
# What a function is called with beside the columns of the data, whatever the data.
GIVEN = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "explain")
PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def unfinished(completions: list[Any], cut_off: list[bool] | None, columns: dict[str, Any]) -> list[bool]:
    """Whether each completion was cut off at its limit, or its reasoning does not end."""
    return [text is None for text in final_texts(completions, cut_off, columns.get("prompts"))]


def endings(completions: list[Any], cut_off: list[bool] | None, columns: dict[str, Any]) -> list[str]:
    """How each completion ended, in the words of `expctl.algorithms.completion_log`."""
    pending = unfinished(completions, cut_off, columns)
    said = [REASONING_OPEN if is_open else ENDED for is_open in pending]
    return [CUT_OFF if is_cut else ending for is_cut, ending in zip(cut_off or [False] * len(said), said, strict=True)]


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether a function can be called with a keyword; False for one whose signature is unknown, as in C."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def names(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name; False for one whose signature is unknown."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def needed_columns(function: Callable[..., Any]) -> list[str]:
    """The columns of the data that a function cannot be called without; none where its signature is unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    needed = [each.name for each in parameters if each.kind in PLAIN and each.default is each.empty]
    return [name for name in needed if name not in (*GIVEN, TRUNCATED, UNFINISHED)]


def must_finish(function: Callable[..., Any]) -> bool:
    """Whether a completion that did not finish earns nothing from a function, where its gate says nothing else.

    So it is where the function cannot be called without a column of the data, that is, compares with what is right, and
    does not take `truncated` or `unfinished` by name to judge that itself.
    """
    if not needed_columns(function):
        return False
    parameters = inspect.signature(function).parameters
    return TRUNCATED not in parameters and UNFINISHED not in parameters
