"""An answer without what only dresses it: LaTeX's wrappers and spaces, signs of Unicode, marks of Markdown."""

import re
import unicodedata

_VULGAR = re.compile(r"[¼-¾⅐-⅞]")
_SUPERSCRIPT = re.compile(r"[⁺⁻]?[⁰¹²³⁴-⁹]+")
_SUBSCRIPT = re.compile(r"[₀-₉]+")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-", "⁄": "/", "÷": "/", "×": "*", "·": "*", "⋅": "*", "\u00a0": " "})
_TEXT = "text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|operatorname|boldsymbol|bm|underline"
_LOOKS = "left|right|big|Big|bigl|bigr|displaystyle|textstyle|limits|large|Large|bf|rm|it|!"
# In the order of use.
_REWRITES = [
    # A unit of one letter is a unit because it is set as text: 5\text{ m}, but not 5m.
    (re.compile(r"(?<=[\d}])(?:\s|\\[ ,;:])*\\(?:text|mathrm)\s*\{[\s~]*([mgshLlNJWVACFKt])\s*\}"), r" units "),
    (re.compile(rf"\\(?:{_TEXT})\s*\{{"), r" {"),
    (re.compile(rf"\\(?:{_LOOKS})(?![a-zA-Z])"), r""),
    (re.compile(r"\\(?:text)?color\s*\{\w+\}"), r" "),
    (re.compile(r"\\left(?=[(\[{\\.|])|\\right(?=[)\]}\\.|])"), r""),
    (re.compile(r"\\[()\[\]]|(?<!\\)\$\$|\*\*|__"), r" "),
    (re.compile(r"(?<!\\)\\(?:[ ,;:]|quad|qquad|thinspace|nobreakspace)(?![a-zA-Z])|~"), r" "),
    (re.compile(r"(?<!\\)\\\s*$"), r""),  # what a stripped `\ ` at the end leaves
    (re.compile(r"\\hspace\s*\{\w+\}"), r" "),
    (re.compile(r"\\([%$#])"), r"\1"),
    (re.compile(r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree(?![a-zA-Z])"), r"°"),
    (re.compile(r"\\(?:times|cdot)(?![a-zA-Z])\s*"), r" * "),
    (re.compile(r"\\(?:dfrac|tfrac|cfrac|sfrac|nicefrac)(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d|\{)"), r"\\frac{\1}\2"),
    (re.compile(r"\\frac\s*(\{[^{}]*\})\s*(\d)"), r"\\frac\1{\2}"),
    (re.compile(r"\{?\s*(?<!\d)(\d+)\s*\\over\s*(\d+)\s*\}?"), r"\\frac{\1}{\2}"),
]
_SIGNED = r"\{\s*([+-]?\s*(?:[\d.]+|[1-9]\d{0,2}(?:(?:,|\{,\})\d{3})+))\s*\}"
_FRACTION = re.compile(rf"\\frac\s*{_SIGNED}\s*{_SIGNED}")
_GROUP = re.compile(r"(?<![\^_\\}\]a-zA-Z])\{([^{},\\]*)\}")


def plain(text: str) -> str:
    """The same answer in plain signs: ASCII digits and minus, one space where there was any, no wrapper around it."""
    text = _VULGAR.sub(lambda sign: " " + unicodedata.normalize("NFKC", sign[0]) + " ", text)
    text = _SUPERSCRIPT.sub(lambda sign: "^{" + sign[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT.sub(lambda sign: "_{" + unicodedata.normalize("NFKC", sign[0]) + "}", text)
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    text = "".join(_ascii_digit(sign) for sign in text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _FRACTION.sub(r" \1/\2 ", text)
    text = re.sub(r"\s+", " ", text).strip()
    while (bare := _GROUP.sub(r" \1 ", text)) != text:
        text = bare
    return re.sub(r"\s+", " ", text).replace(" ^", "^").strip()


def _ascii_digit(sign: str) -> str:
    if sign.isascii():
        return sign
    value = unicodedata.decimal(sign, None)
    return sign if value is None else str(value)
