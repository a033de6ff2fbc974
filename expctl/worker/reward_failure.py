"""Error messages of reward functions that raised, made without calling them again, which may cost money."""

import traceback
from typing import Any

LONGEST_VALUE = 200
LONGEST_MESSAGE = 500


class RewardError(Exception):
    """A reward function raised, could not be called, or did not return one number (or None) per completion."""


def failure_message(name: str, error: Exception, completions: list[Any], prompts: list[Any] | None) -> str:
    """The sentence on a function `name` that raised `error` on a batch of completions."""
    message = str(error)
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + "..."
    reached = _reached_index(error, completions)
    if reached is None:
        where = f"the first of {len(completions)} completions was"
    elif len(completions) == 1:
        where = "on the completion"
    else:
        where = f"of {len(completions)} completions it had come to"
    index = reached or 0
    sentence = f"reward '{name}' raised {type(error).__name__}: {message}; {where} {shortened(completions[index])}"
    # Equal texts can be one object in memory: then the prompt is unknown.
    is_unique = sum(completion is completions[index] for completion in completions) == 1
    if prompts and is_unique:
        sentence += f" to the prompt {shortened(prompts[index])}"
    return sentence


def shortened(value: Any) -> str:
    """The repr of a text, of the last turn of a conversation, or of any other value, at most 200 characters of it."""
    if isinstance(value, list) and value and isinstance(value[-1], dict) and "content" in value[-1]:
        value = value[-1]["content"]
    text = repr(value)
    if len(text) <= LONGEST_VALUE:
        return text
    quote = text[0] if isinstance(value, str) else ""
    return text[:LONGEST_VALUE] + "..." + quote


def is_call_error(error: Exception) -> bool:
    """Whether a function could not be called with what it was given: its own code never ran."""
    raised = error.__traceback__
    return isinstance(error, TypeError) and raised is not None and raised.tb_next is None


def _reached_index(error: Exception, completions: list[Any]) -> int | None:
    """Index of the completion that the function was at, as its local variables show; None where they do not."""
    if len(completions) == 1:
        return 0
    index_of = {id(part): index for index, completion in enumerate(completions) for part in _identifying(completion)}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames[1:]):  # the first is the guard's own
        indices = {index_of[id(value)] for value in frame.f_locals.values() if id(value) in index_of}
        if len(indices) == 1:
            return indices.pop()
    return None


def _identifying(completion: Any) -> list[Any]:
    """The objects that identify a completion: itself, and of a conversation the last turn and its text.

    Texts of one character or none are left out: Python has one object for all that are equal.
    """
    parts = [completion]
    if isinstance(completion, list) and completion and isinstance(completion[-1], dict):
        parts += [completion[-1], completion[-1].get("content")]
    return [part for part in parts if part is not None and not (isinstance(part, str) and len(part) < 2)]
