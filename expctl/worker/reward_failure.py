"""What is said of a reward function that raised: never by calling it again, which may cost money."""

import traceback
from typing import Any

LONGEST = 200
LONGEST_MESSAGE = 500


class RewardError(Exception):
    """A reward function raised, could not be called, or returned something else than one number (or None) each."""


def failure(name: str, error: Exception, completions: list, prompts: list | None) -> str:
    """The sentence on a function `name` that raised `error` on a batch of completions."""
    message = str(error)
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + "..."
    place = _reached(error, completions)
    if place is None:
        where = f"the first of {len(completions)} completions was"
        place = 0
    elif len(completions) == 1:
        where = "on the completion"
    else:
        where = f"of {len(completions)} completions it had come to"
    sentence = f"reward '{name}' raised {type(error).__name__}: {message}; {where} {shown(completions[place])}"
    # Equal texts can be one object in memory: then nobody knows which prompt it was.
    is_unique = sum(completion is completions[place] for completion in completions) == 1
    if prompts and is_unique:
        sentence += f" to the prompt {shown(prompts[place])}"
    return sentence


def shown(value: Any) -> str:
    """A text, the last turn of a conversation, or any other value, printable and shortened."""
    if isinstance(value, list) and value and isinstance(value[-1], dict) and "content" in value[-1]:
        value = value[-1]["content"]
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..." + text[0] * isinstance(value, str)


def _reached(error: Exception, completions: list) -> int | None:
    """Place of the completion that the function was at, as far as its variables tell; None when they do not."""
    if len(completions) == 1:
        return 0
    places = {id(part): place for place, completion in enumerate(completions) for part in _parts(completion)}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames[1:]):  # the first is the guard's own
        held = {places[id(value)] for value in frame.f_locals.values() if id(value) in places}
        if len(held) == 1:
            return held.pop()
    return None


def _parts(completion: Any) -> list[Any]:
    """The objects that tell a completion by being it: itself, and of a conversation the last turn and its text.

    Texts of one character or none are left out: Python has one object for all that are equal.
    """
    parts = [completion]
    if isinstance(completion, list) and completion and isinstance(completion[-1], dict):
        parts += [completion[-1], completion[-1].get("content")]
    return [part for part in parts if part is not None and not (isinstance(part, str) and len(part) < 2)]
