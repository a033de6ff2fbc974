"""The value of an answer that is a number and nothing else, in the forms in which people and models write it."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from expctl.rewards.plain import plain
from expctl.rewards.units import CHANGING, canonical, unit_of

LONGEST_NUMBER = 200  # characters; a model may write thousands of digits, and arithmetic with them takes seconds

_PLAIN = r"(?:\d+(?:\.\d*)?|\.\d+)"
_WHOLE = rf"(?:[1-9]\d{{0,2}}(?:(?:,|\{{,\}})\d{{3}})+|{_PLAIN})"
_EXPONENT = r"[+-]?\d{1,3}"
# The narrower first. What follows the form must be nothing, a percent sign or a unit, so `1,2` is not a 1.
_FORMS = {
    "mixed": re.compile(r"(?P<whole>\d+) (?P<over>\d+) ?/ ?(?P<under>\d+)"),
    "fraction": re.compile(rf"(?P<over>[+-]? ?{_WHOLE}) ?/ ?(?P<under>[+-]? ?{_WHOLE})"),
    "scientific": re.compile(
        rf"(?:(?P<mantissa>{_PLAIN}) ?[*x] ?)?10 ?\^ ?(?:\{{ ?(?P<braced>{_EXPONENT}) ?\}}|(?P<bare>{_EXPONENT}))"
    ),
    "exponent": re.compile(rf"(?P<mantissa>{_PLAIN})[eE](?P<bare>{_EXPONENT})"),
    "repeating": re.compile(
        r"(?P<whole>\d*)\.(?P<fixed>\d*)(?:\\(?:overline|bar|dot) ?\{? ?|\()(?P<again>\d+)[ })]{0,2}"
    ),
    "european": re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,}"),
    "grouped": re.compile(r"[1-9]\d{0,2}(?P<mark>,|\{,\}|['’ ])\d{3}(?:(?P=mark)\d{3})*(?:\.\d*)?"),
    "comma": re.compile(r"(?P<whole>\d+)\{,\}(?P<part>\d+)"),
    "plain": re.compile(_PLAIN),
}
_SCALES = {"hundred": 100, "dozen": 12, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_CURRENCY = r"(?:(?:US)?[$€£¥₹¢₽₩₪₫฿]|\b(?:USD|EUR|GBP|INR|Rs\.?)(?= ?\d))"
_HEAD = re.compile(rf"(?P<sign>[+-]?) ?(?P<currency>{_CURRENCY}?) ?(?P<inner>[+-]?) ?")
_TAIL = re.compile(
    rf"(?: ?(?P<scale>{'|'.join(_SCALES)})s?\b)?(?P<percent> ?%| ?per ?cent\b)?"
    rf"(?: ?(?P<currency>{_CURRENCY}|°(?: ?[CFK]\b)?))?",
    re.IGNORECASE,
)
_RELATION = re.compile(r"[<>≤≥≠≈~∈≡±]|!=|\\(?:leq?|geq?|lt|gt|neq?|approx|sim|equiv|in|pm|mp|cong)(?![a-zA-Z])")
# The left side of an equation that is no name of the number: a multiple, a power, a function of it.
_OTHER_LEFT = re.compile(
    r"\d ?[a-z]\b|[a-z] ?\^(?!\{?\*)|[a-z)] ?!"
    r"|\b[a-z] ?[*/]|[*/] ?[a-z]\b|\d ?[+-] ?[a-z]\b|\b[a-z] ?[+-] ?\d|- ?[a-z]\b(?! ?=)|\|"
    r"|\\(?:sqrt|log|ln|sin|cos|tan|int|sum|prod|lim|exp|frac|binom)|\b(?:sqrt|log|ln|sin|cos|tan|exp)\b",
    re.IGNORECASE,
)
_WORKED_OUT = re.compile(r"(?:[\d\s+*/().,^{}=!%$|-]|\\(?:sqrt|frac|binom|div)(?![a-z]))*")
_SEVERAL = re.compile(r"[,;]|\b(?:or|and)\b|\\(?:lor|land|vee|wedge|\\)(?![a-z])", re.IGNORECASE)
_NO = re.compile(
    r"\b(?:not|no|never|wrong|incorrect|unless|cannot|neither|whether|except|but|than|least|most|about|approximately)\b"
    r"|n['’]t\b|\d.*\bor\b|[不没沒非无無或]|至少|至多|最多|大[约約]|[约約]|ではない|아니|또는",
    re.IGNORECASE,
)
_STATES = r"is|are|was|were|has|have|had|costs?|earns?|pays?|gets?|makes?|equals|equal to|becomes"
# The same without spaces between words; a colon of theirs is a plain one by then (NFKC).
_STATES_UNSPACED = r"(?:答案|答え|答|结果|結果|总共|總共|一共)?(?:是|为|為|等于|等於|は|는|은):?"
_SAYS = re.compile(rf"^[^\d\\]*(?:\b(?:is|are|was|be|equals?|equal to|becomes)\b:?|:|{_STATES_UNSPACED}) ?")
_WORDS = re.compile(r"(?:[A-Za-z]+(?:['’][a-z]+)?,? )+")


class Number(NamedTuple):
    """A number as it is written: its value, whether that counts percent, and the unit ("" for none that is known)."""

    value: Fraction
    is_percent: bool = False
    unit: str = ""

    def equals(self, other: "Number") -> bool:
        """Whether both are the same number.

        A percentage beside a plain number up to 1 is a share (50% is 0.5), beside a greater one it counts the
        percent (50% is 50). Two units that are known and differ are not equal.
        """
        if self.unit and other.unit and self.unit != other.unit:
            return False
        if self.is_percent == other.is_percent:
            return self.value == other.value
        percent, bare = (self, other) if self.is_percent else (other, self)
        if abs(bare.value) <= 1:
            return percent.value / 100 == bare.value
        return percent.value == bare.value


def read_number(text: str) -> Number | None:
    """The number that the whole text is, maybe as `x = 5`, `the answer is 5` or with a unit; else None."""
    if len(text) > LONGEST_NUMBER * 3:
        return None
    answer = plain(text)
    if _RELATION.search(answer):
        return None
    left, equality, right = answer.rpartition("=")
    if equality:
        if re.fullmatch(r" ?[a-zA-Z] ?", right):
            left, right = right, left
        if not _is_name(left) or _SEVERAL.search(left) or _NO.search(left):
            return None
        return _bare_number(right.strip())
    says = _SAYS.match(answer)
    if says is None:
        return _bare_number(answer.strip())
    if _NO.search(says[0]) or _OTHER_LEFT.search(says[0]) or _SEVERAL.search(says[0]):
        return None
    return _bare_number(answer[says.end() :].strip())


def read_statement(sentence: str) -> Number | None:
    """The number that a sentence states: after its last `=`, `is` or colon, or the only one that stands in it."""
    if len(sentence) > LONGEST_NUMBER * 3:
        return None
    sentence = plain(sentence.removesuffix("$.")).lstrip("=>→ ")
    if _NO.search(sentence) or _RELATION.search(sentence):
        return None
    left, equality, right = sentence.rpartition("=")
    if equality:
        names = set(re.findall(r"\b([a-zA-Z]) ?=(?! ?[a-zA-Z] ?=)", sentence))
        if len(names) > 1 or not _is_name(left):
            return None
        return _bare_number(right.strip())
    stated = _bare_number(_after_verb(sentence))
    return stated if stated is not None else _only_number(sentence)


def _is_name(left: str) -> bool:
    """Whether the left side of an equation names the right one (`x`, `f(2)`, `|AB|`), or is a sum worked out."""
    return bool(_WORKED_OUT.fullmatch(left)) or not _OTHER_LEFT.search(re.sub(r"\|([A-Z]{2})\|", r"\1", left))


def stated_text(sentence: str) -> str:
    """What a sentence states in words: after its last verb or colon; the whole where it denies or leaves open."""
    return sentence if _NO.search(sentence) else _after_verb(sentence)


def _after_verb(sentence: str) -> str:
    return re.split(rf"\b(?:{_STATES})\b:?|: |{_STATES_UNSPACED}", sentence)[-1].strip()


def _only_number(sentence: str) -> Number | None:
    """The number among words that do not change it: `she has 18 apples left`."""
    words = _WORDS.match(sentence)
    if words is None:
        return None
    if CHANGING & set(re.findall(r"[a-z]+", words[0].casefold())):
        return None
    last_word, rest = words[0].split()[-1], sentence[words.end() :]
    if (len(last_word) == 1 and last_word not in "aAI") or re.match(r"[+-] ", rest):
        return None
    return _bare_number(rest)


def _bare_number(text: str) -> Number | None:
    """A number with its sign, currency, percent sign and unit, and nothing else."""
    text = text.strip().strip("$ ") if text.endswith("$") else text.strip()
    enclosed = re.fullmatch(r"(?P<minus>-?) ?\((?P<inner>[^(),]*)\)", text)
    if enclosed:
        inner = _bare_number(enclosed["inner"])
        return inner._replace(value=-inner.value) if inner is not None and enclosed["minus"] else inner
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip(" $")
    if len(text) > LONGEST_NUMBER:
        return None
    head = _HEAD.match(text)
    assert head is not None  # every part of it may be absent
    if head["sign"] and head["inner"]:
        return None
    negative = "-" in (head["sign"], head["inner"])
    rest = text[head.end() :]
    for name, form in _FORMS.items():
        match = form.match(rest)
        if match is None:
            continue
        value = _value(name, match)
        tail = _tail(rest[match.end() :])
        if value is not None and tail is not None:
            scale, is_percent, unit = tail
            unit = unit or canonical(head["currency"].removeprefix("US"))
            return Number(-value * scale if negative else value * scale, is_percent, unit)
    return None


def _tail(text: str) -> tuple[int, bool, str] | None:
    """Scale, whether percent, and unit of what follows a number; None where it is something else."""
    match = _TAIL.match(text)
    assert match is not None  # every part of it may be absent
    rest = text[match.end() :]
    scale = _SCALES[match["scale"].casefold()] if match["scale"] else 1
    unit: str | None = canonical(match["currency"].replace(" ", "")) if match["currency"] else ""
    if rest.strip():
        unit = unit_of(rest)
    return None if unit is None else (scale, bool(match["percent"]), unit)


def _value(form: str, match: re.Match[str]) -> Fraction | None:
    try:
        return _VALUES[form](match)
    except (ValueError, ZeroDivisionError):
        return None


def _fraction(match: re.Match[str]) -> Fraction:
    over, under = (re.sub(r"[ ,{}]", "", match[part]) for part in ("over", "under"))
    return Fraction(over) / Fraction(under)


def _mixed(match: re.Match[str]) -> Fraction | None:
    part = Fraction(int(match["over"]), int(match["under"]))
    return int(match["whole"]) + part if part < 1 else None


def _scientific(match: re.Match[str]) -> Fraction:
    exponent = match.groupdict().get("braced") or match["bare"]
    return Fraction(match["mantissa"] or "1") * Fraction(10) ** int(exponent)


def _repeating(match: re.Match[str]) -> Fraction:
    fixed, again = match["fixed"], match["again"]
    part = Fraction(int(again), 10 ** len(again) - 1) / Fraction(10 ** len(fixed))
    return Fraction(f"{match['whole'] or '0'}.{fixed or '0'}") + part


_VALUES: dict[str, Callable[[re.Match[str]], Fraction | None]] = {
    "mixed": _mixed,
    "fraction": _fraction,
    "scientific": _scientific,
    "exponent": _scientific,
    "repeating": _repeating,
    "european": lambda match: Fraction(match[0].replace(".", "").replace(",", ".")),
    "grouped": lambda match: Fraction(re.sub(r"[{},'’ ]", "", match[0])),
    "comma": lambda match: Fraction(f"{match['whole']}.{match['part']}"),
    "plain": lambda match: Fraction(match[0]),
}
