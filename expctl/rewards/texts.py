"""Whether two answers that are no numbers are the same: as normalised text, lists and sets part by part."""

import re
from collections.abc import Callable

from expctl.rewards.plain import plain
from expctl.rewards.units import split_unit

_MOST_PARTS = 50
_LARGEST_SET = 20  # elements; each is compared with each
_REWRITES = [
    (re.compile(r"\\leq(?![a-zA-Z])|≤|<="), r"\\le "),
    (re.compile(r"\\geq(?![a-zA-Z])|≥|>="), r"\\ge "),
    (re.compile(r"≠|!=|\\neq(?![a-zA-Z])"), r"\\ne "),
    (re.compile(r"π|(?<![a-zA-Z\\])pi(?![a-zA-Z])"), r"\\pi "),
    (re.compile(r"∞"), r"\\infty "),
    (re.compile(r"±"), r"\\pm "),
    (re.compile(r"√\s*(\w)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![a-zA-Z\\])sqrt\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"\*\*"), r"^"),
    (re.compile(r"\^\s*\{\s*(\d+)\s*\}"), r"^\1"),
    (re.compile(r"\{\s*(\w)\s*\}"), r" \1"),
    (re.compile(r"(?<=\d)\s*\*\s*(?=[a-zA-Z\\(])"), r""),
    (re.compile(r"\\(sin|cos|tan|ln|log|exp)\s*\(\s*(\w)\s*\)"), r"\\\1 \2"),
    (re.compile(r"\s*(?:,\s*)?\b(?:and|or)\b\s*", re.IGNORECASE), r","),
    (re.compile(r"(?<=[(\[,])\s*\+"), r""),
    (re.compile(r"\s+(?![\d\sa-zA-Z])|(?<![\da-zA-Z])\s+"), r""),
]
_NAMED = re.compile(r"^(?:[a-zA-Z]|[a-z]\([a-z]\))(?:=(?!.*=)|\\in(?=[(\[]))")
_STATED = re.compile(
    r"^(?:so |thus |therefore |hence )?,? ?(?:the )?(?:final )?(?:(?:answer|result)(?: is|:)+|option|choice) ?",
    re.IGNORECASE,
)


def same_text(given: str, expected: str, same: Callable[[str, str], bool]) -> bool:
    """Whether both are the same text, list, point, interval or set.

    Case counts in expressions (`X` is not `x`), not in words. Sets may be in any order, lists and points not; sets of
    sets and of more than 20 elements are the same only in the same order.

    Args:
        given: the answer, without its mark.
        expected: the right one.
        same: decides on each pair of parts.
    """
    (given, unit), (expected, right_unit) = split_unit(given), split_unit(expected)
    if unit and right_unit and unit != right_unit:
        return False
    left, right = normal(given), normal(expected)
    if "=" not in right and "\\in" not in right:
        left = _NAMED.sub("", left)
    if left == right:
        return bool(right)
    if _same_choice(left, right):
        return True
    left_parts, right_parts = parts(left), parts(right)
    if left_parts is None or right_parts is None or left_parts[:2] != right_parts[:2]:
        return False
    return _same_parts(left_parts[2], right_parts[2], same, in_order=left_parts[0] != "\\{")


def normal(text: str) -> str:
    """A text answer without what is not part of it: spaces, wrappers, the full stop, the case of words."""
    text = _STATED.sub("", plain(text).replace("$", "").strip())
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\s+", " ", text).strip()
    is_words = re.fullmatch(r"(?:[^\W\d_]{3,}|no)(?:[\s'’-][^\W\d_]+)*", text, re.IGNORECASE)
    return re.sub(r"\s", "", text).casefold() if is_words else _joined(text)


def _joined(text: str) -> str:
    """Without the spaces, but for those between two digits."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


def _same_choice(given: str, right: str) -> bool:
    """Whether both are the same letter, `(B)`, `B)` and `B` alike.

    A right answer from A to J is a choice, for which b is as good; another letter is a variable, whose case counts.
    """
    letter, right_letter = (re.fullmatch(r"\(?([A-Za-z])\)?", text) for text in (given, right))
    if letter is None or right_letter is None:
        return False
    return letter[1] == right_letter[1] or (right_letter[1] in "ABCDEFGHIJ" and letter[1].upper() == right_letter[1])


def parts(text: str) -> tuple[str, str, list[str]] | None:
    """Opening, closing and parts of a list, point, interval or set; None where the text is none."""
    enclosed = re.fullmatch(r"(\(|\[|\\\{)(.*?)(\)|\]|\\\})", text)
    opening, inner, closing = enclosed.groups() if enclosed else ("", text, "")
    split, depth, start = [], 0, 0
    for position, sign in enumerate(inner):
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return None
        if sign == "," and depth == 0:
            split.append(inner[start:position])
            start = position + 1
    split.append(inner[start:])
    if depth or not 1 < len(split) <= _MOST_PARTS or not all(split):
        return None
    return opening, closing, split


def _same_parts(left: list[str], right: list[str], same: Callable[[str, str], bool], *, in_order: bool) -> bool:
    if in_order:
        return len(left) == len(right) and all(map(same, left, right))
    if max(len(left), len(right)) > _LARGEST_SET or any("\\{" in part for part in left + right):
        return False
    given_are_right = all(any(same(part, other) for other in right) for part in left)
    return given_are_right and all(any(same(part, other) for part in left) for other in right)
