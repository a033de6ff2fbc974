"""What a completion says otherwise than an earlier one to the same prompt, and at which steps to look."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

# Texts that have less in common than this are two answers; marks in them would say nothing.
LEAST_IN_COMMON = 0.4


def changed_words(before: str, after: str) -> list[tuple[str, bool]]:
    """The pieces of `after` in their order, each with whether it is new against `before`.

    Words are compared, each with the space that follows it. One piece that is not new where the texts have too little
    in common to be held against each other.
    """
    old, new = _words(before), _words(after)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < LEAST_IN_COMMON:
        return [(after, False)]
    pieces = []
    for operation, _, _, start, end in matcher.get_opcodes():
        if end > start:
            pieces.append(("".join(new[start:end]), operation != "equal"))
    return pieces


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def evenly(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of the steps, at least two: the first, the last, and others evenly between."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]
