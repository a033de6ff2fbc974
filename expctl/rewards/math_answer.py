"""Reward of a right final number, however it is written."""

import re
from fractions import Fraction

from expctl.rewards.completions import text_of

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_HASHED = re.compile(r"####[ \t]*([^\n]+)")
# A minus counts only where nothing is subtracted from: "= -4" but not "9-4".
_NUMBER = re.compile(
    r"(?<![\w)\].])-?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?:/\d+)?|(?<![\w)\].])-?\.\d+|\d[\d,]*(?:\.\d+)?"
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_LONGEST_NUMBER = 100  # characters; a model may write thousands of digits, and arithmetic with them takes seconds


def accuracy(completions: list, answer: list, **kwargs) -> list[float | None]:
    """1.0 where the final answer equals the right one, else 0.0; None where the row has no right answer.

    The final answer is, in this order: the last `\\boxed{...}`, the last `<answer>...</answer>`, what follows the last
    `####`, the last number. Numbers are compared by value (`1,200`, `$1200.00` and `2400/2` are equal), others as text.

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        answer: the right answer of each row, alone (`18`) or at the end of a solution (`... #### 18`).
        **kwargs: what else TRL passes to a reward function; ignored.
    """
    return [
        None if right is None or not str(right).strip() else float(same_answer(text_of(completion), str(right)))
        for completion, right in zip(completions, answer, strict=True)
    ]


def same_answer(text: str, right: str) -> bool:
    """Whether the final answer of `text` is that of `right`."""
    expected = marked_answer(right)
    expected = right if expected is None else expected
    value = number(expected)
    given = marked_answer(text)
    if value is not None:
        return (number(given) if given is not None else _last_number(text)) == value
    given = given if given is not None else text.strip().rpartition("\n")[2]
    return _normal(given) == _normal(expected)


def marked_answer(text: str) -> str | None:
    """The answer that the text itself marks as final, or None."""
    boxed = _last_boxed(text)
    if boxed is not None:
        return boxed
    for pattern in (_TAGGED, _HASHED):
        found = pattern.findall(text)
        if found:
            return found[-1].strip()
    return None


def number(text: str) -> Fraction | None:
    """The value of a text that holds one number, maybe with a currency, a unit or words around it; else None."""
    plain = (
        _LATEX_FRACTION.sub(r"\1/\2", text)
        .replace("\u2212", "-")
        .replace("\\%", "%")
        .replace("$", "")
        .replace("{,}", ",")
    )
    found = _NUMBER.findall(plain)
    if len(found) == 1:
        return _value(found[0])
    # "x = 5" and "2 + 3 = 5": the number after the last sign of equality.
    after = _NUMBER.findall(plain.rpartition("=")[2]) if "=" in plain else []
    return _value(after[0]) if len(after) == 1 else None


def _last_number(text: str) -> Fraction | None:
    found = _NUMBER.findall(text.replace("\u2212", "-").replace("$", ""))
    return _value(found[-1]) if found else None


def _value(written: str) -> Fraction | None:
    if len(written) > _LONGEST_NUMBER:
        return None
    numerator, _, denominator = written.replace(",", "").partition("/")
    try:
        return Fraction(numerator) / Fraction(denominator or 1)
    except (ValueError, ZeroDivisionError):
        return None


def _last_boxed(text: str) -> str | None:
    """Content of the last `\\boxed{...}`, with the braces inside it; None where there is none or it is not closed."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for position in range(start + len("\\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : position]
    return None


def _normal(text: str) -> str:
    """A text answer without what is not part of it: case, spaces, LaTeX's wrappers, the full stop."""
    text = re.sub(r"\\(?:text|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text)
    return re.sub(r"[\s$]|\\[ ,;!]", "", text).rstrip(".").casefold()
