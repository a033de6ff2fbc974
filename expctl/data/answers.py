"""The answer that a worked solution ends in, by a named rule or by a regular expression. Torch-free."""

import re
from collections.abc import Callable

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_BOXED = "\\boxed{"


def last_number(text: str) -> str | None:
    """The last number of a text, without commas."""
    found = _NUMBER.findall(text)
    return found[-1].replace(",", "") if found else None


def after_hashes(text: str) -> str | None:
    """What stands after the last `####`, as in GSM8K."""
    before, hashes, answer = text.rpartition("####")
    return answer.strip() or None if hashes else None


def boxed(text: str) -> str | None:
    r"""What the last `\boxed{...}` holds, with the braces inside of it balanced."""
    start = text.rfind(_BOXED)
    if start < 0:
        return None
    depth, begin = 1, start + len(_BOXED)
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[begin:place].strip() or None
    return None


RULES: dict[str, Callable[[str], str | None]] = {
    "last_number": last_number,
    "after_hashes": after_hashes,
    "boxed": boxed,
}


def rule(name: str) -> Callable[[str], str | None]:
    """The rule of this name; else the text is a regular expression, whose first group (or whole match) is the answer.

    Raises:
        ValueError: neither.
    """
    if name in RULES:
        return RULES[name]
    if re.fullmatch(r"\w+", name):
        raise ValueError(f"there is no such rule; there are {', '.join(RULES)}, or give a regular expression")
    try:
        pattern = re.compile(name, re.DOTALL)
    except re.error as error:
        raise ValueError(f"it is no rule ({', '.join(RULES)}) and no regular expression: {error}") from error

    def by_pattern(text: str) -> str | None:
        found = list(pattern.finditer(text))
        if not found:
            return None
        answer = found[-1][1] if pattern.groups else found[-1][0]
        return (answer or "").strip() or None

    return by_pattern
