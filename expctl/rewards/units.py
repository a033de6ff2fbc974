"""Words that may stand after a number and leave it what it is: units, currencies, things that are counted."""

import re

_KNOWN = """
    mm cm dm m km um nm in inch inches ft foot feet yd yard yards mi mile miles meter metre kilometer kilometre
    centimeter centimetre millimeter millimetre unit mg g kg t lb lbs oz gram kilogram ton tonne pound ounce ml
    cl dl l liter litre gal gallon s sec second min minute h hr hrs hour day week month year ms kmh mph kph hz
    khz mhz ghz n j kj w kw kwh v kv a mol pa kpa bar cal kcal db deg degree rad radian byte kb mb gb tb bit c f
    k px pt usd eur gbp dollar cent euro yen yuan rupee
"""
# Each unit with its other names; a trailing s is taken off before.
_NAMES = """
    m meter metre
    km kilometer kilometre
    cm centimeter centimetre
    mm millimeter millimetre
    in inche inch
    ft foot feet
    mi mile
    yd yard
    g gram
    kg kilogram
    l liter litre
    s sec second
    min minute
    h hour hr
    pound lb
    oz ounce
    dollar usd $
    euro eur €
    gbp £
    cent ¢
    rupee ₹ rs rs. inr
    yen ¥
    gal gallon
    deg degree °
    celsius °c
    fahrenheit °f
    kelvin °k
    rad radian
    t tonne ton
"""
_SINGLE_LETTERS = "m g s h L l N J W V A C F K t"
# Short nouns that are counted; other words of three letters may be products of variables, such as abc.
_SHORT = """
    men boy box egg car cup kid pen toy bag hat pie cow pig hen bus cat dog ant bee fly fox way set row pin jar
    mug can bar job art key lap lot mat net nut pot rat rod sum tax tie tip van won apt pts pcs ppl day old
"""
_BETWEEN = "in of at to on per a an the and her his its all off out"  # among the words of a unit, never the first
# After or before a number these make another number of it, or none.
_CHANGING = """
    or not no never isn aren wasn don doesn cannot wrong incorrect unless least most than between about
    approximately approx roughly almost nearly around under over above below more less fewer half halves third
    thirds quarter quarters twice double triple root roots square squared cube cubed power powers plus minus
    negative times divided multiplied multiple multiples divisible factor factors factorial choose mod modulo pi
    log ln sin cos tan exp sqrt abs max infinity infinite imaginary million billion trillion thousand hundred
    dozen zero one two three four five six seven eight nine ten eleven twelve twenty fifty base squareroot
    percent ago from until up maybe perhaps possibly probably step question problem equation page chapter gcd
    lcm binary tens fourths fifths sixths sevenths eighths ninths tenths twelfths hundredths thousandths millionths
    grand lakh lakhs crore crores permille thrice score gross twos threes fours fives sixes sevens eights nines tens
    twenties fifties
"""
# The same in scripts without spaces between words.
_CHANGING_UNSPACED = re.compile("[的倍万萬亿億千百半多余餘]|分之|平方|立方|左右|以上|以下|以内|の|배|만|억")
KNOWN = frozenset(_KNOWN.split())
CHANGING = frozenset(_CHANGING.split())
_SAME = {name: line.split()[0] for line in _NAMES.strip().splitlines() for name in line.split()[1:]}
_SINGLE = frozenset(_SINGLE_LETTERS.split())
_SHORT_NOUNS = frozenset(_SHORT.split())
_FOLLOWING = frozenset(_BETWEEN.split()) | _SINGLE
_TEXT_AT_END = re.compile(r"(?:\\[ ,;:]|\s)*\\(?:text|mathrm)\s*\{[\s~]*([^{}]*?)\s*\}(?P<power>\^\{?[23]\}?)?\s*$")
_AREA = re.compile(r"(?P<dimension>square|cubic|sq\.?|cu\.?) (?=\w)")
_WORD = re.compile(r"(?P<word>[^\W\d_]+)(?P<power>\^(?:\{-?[1-4]\}|-?[1-4]))?\.?")


def unit_of(text: str) -> str | None:
    """The unit that a text after a number names ("" where it only counts things); None where it is no unit.

    Areas and volumes are units of their own, `cm^2`.

    Args:
        text: what follows the number, with its leading space.
    """
    spaced = text[:1].isspace()
    words = [word for word in re.split(r"[\s/*()-]+", _AREA.sub("", text.strip())) if word]
    if len(words) > 12 or not words:
        return None
    if text.count("(") != text.count(")") or re.search(r"[*/-]\s*$|-\s|\s-|--", text):
        return None
    first, *others = [_WORD.fullmatch(word) for word in words]
    if first is None:
        return None
    is_quotient = "/" in text and first["word"] in _SINGLE
    if not (is_quotient or _is_unit(first, attached=not spaced)):
        return None
    for word in others:
        if word is None or not (_is_unit(word) or word["word"] in _FOLLOWING):
            return None
    return _to_the_power(canonical(first["word"]), first["power"] or _power_of(text))


def _power_of(text: str) -> str:
    """The power that a word before a unit gives it: 2 of `square meters`, "" where there is none."""
    area = _AREA.match(text.strip())
    if area is None:
        return ""
    return "2" if area["dimension"].startswith("sq") else "3"


def _to_the_power(unit: str, power: str | None) -> str:
    digits = (power or "").strip("^{}")
    return f"{unit}^{digits}" if unit and digits else unit


def split_unit(latex: str) -> tuple[str, str | None]:
    """An expression and the unit set as text after it, `3\\sqrt{5}\\text{ cm}`; None where there is none."""
    end = _TEXT_AT_END.search(latex)
    if end is None or not latex[: end.start()].strip():
        return latex, None
    unit = end[1] if end[1] in _SINGLE else unit_of(f" {end[1]}")
    return (latex, None) if unit is None else (latex[: end.start()], _to_the_power(unit, end["power"]))


def canonical(word: str) -> str:
    """The unit's own name (`meters` is m), "" where the word is no unit that is known."""
    lower = word.casefold()
    singular = lower[:-1] if lower.endswith("s") and len(lower) > 2 else lower
    name = _SAME.get(singular, singular)
    return name if name in KNOWN or name in _SAME.values() else ""


def _is_unit(word: re.Match[str], *, attached: bool = False) -> bool:
    letters, lower = word["word"], word["word"].casefold()
    known = len(letters) > 1 and (lower in KNOWN or lower.rstrip("s") in KNOWN)
    if lower in CHANGING:
        return False
    if word["power"]:
        return known or letters in _SINGLE
    if known:
        return True
    if _CHANGING_UNSPACED.search(letters):
        return False
    if not letters.isascii():
        # Words of other scripts; Greek letters are variables.
        return not re.search(r"[Ͱ-Ͽ]|[ℂ-ℵ]", letters)
    if attached:
        return False
    if len(letters) <= 3:
        return lower in _SHORT_NOUNS
    return bool(re.search(r"[aeiouy]", lower)) and bool(re.search(r"[^aeiouy]", lower))
