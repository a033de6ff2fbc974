"""What a difference means, in words."""

from math import floor, inf, log10

from expctl.compare.comparison import (
    BETTER,
    HIGHER,
    IDENTICAL,
    LOWER,
    NO_DIFFERENCE,
    TOO_FEW,
    WORSE,
    Estimate,
    Verdict,
)

# Below, a spread is a guess: no verdict but that there are too few.
FEWEST = 3
# In the place of an interval, where nothing spreads.
SAME_IN_EACH = "the very same in each"


def verdict(
    *,
    title: str,
    unit: str | None,
    group: str,
    baseline: str,
    better: str | None,
    seeds: int,
    paired: bool,
    difference: Estimate | None,
    relative: Estimate | None,
    p: float | None,
    p_corrected: float | None,
    alpha: float,
    over: str = "seed",
    test: str | None = None,
    needed: int | None,
    detectable: float | None,
) -> Verdict:
    """The verdict on one difference; `seeds` counts pairs, or the runs of the smaller group.

    `over`: what is paired, `seed` or `prompt`; `test`: the name of the test, where that is worth saying.

    A difference that is not shown is `too few seeds` where 100 seeds or fewer would show one of the observed size, and
    `no difference shown` where not even those would.
    """
    pair = f"{group} from {baseline}"
    counted = count(seeds, over) if paired else f"{count(seeds, 'run')} a group"
    by = f", {test}" if test else ""
    if difference is None or seeds < FEWEST:
        sentence = f"{title}: too few seeds to tell {pair}: {counted}, at least {FEWEST} are needed"
        return Verdict(TOO_FEW, sentence, max(FEWEST, needed or FEWEST))
    if p_corrected is not None and p_corrected <= alpha:
        word = _word(difference.value, better)
        size = _size(difference, relative, unit)
        return Verdict(
            word, f"{title}: {group} is {word} than {baseline} by {size}{counted}, p = {p_corrected:.2g}{by})"
        )
    if difference.value == 0 and detectable == 0:
        return Verdict(IDENTICAL, f"{title}: {group} and {baseline} are identical, {counted}")
    observed = f"{signed(difference.value, difference)} ({interval(difference)}{counted}, p = {p_corrected:.2g}{by})"
    if p is not None and p <= alpha:
        observed += ", which would count alone but not among so many comparisons"
    if needed is not None:
        needed = max(needed, seeds + 1)
        hint = f"if that is real, about {needed} seeds would show it"
        return Verdict(TOO_FEW, f"{title}: too few seeds to tell {pair}: {observed}; {hint}", needed)
    shown = f"; {number(detectable, difference)} or more would have shown" if detectable else ""
    sentence = f"{title}: no difference shown between {group} and {baseline}: {observed}{shown}"
    return Verdict(NO_DIFFERENCE, sentence)


def count(number_of: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def number(value: float | None, like: Estimate | None = None) -> str:
    """A value to the digits that mean something: two of the interval's half-width, or four of its own."""
    if value is None:
        return "none"
    if like is None or like.interval is None:
        return f"{value:.4g}"
    low, high = like.interval
    # Halved first: the difference of two numbers near 1e308 is none.
    half = high / 2 - low / 2
    digits = 1 - floor(log10(half)) if 0 < half < inf else None
    if digits is None or not -4 <= digits <= 8:
        return f"{value:.4g}"
    # Plus zero, since what is rounded to nothing has no sign.
    return f"{round(value, digits) + 0.0:.{max(0, digits)}f}"


def percent(share: float, like: Estimate) -> str:
    """A share in percent, without the sign of it: whole ones, and more digits where the interval is narrower."""
    if like.interval is None:
        return f"{100 * share:.3g}"
    low, high = like.interval
    width = 100 * (high - low)
    return number(100 * share, Estimate(0.0, 0.0, max(width, 20.0) if width >= 1 else width))


def signed(value: float, like: Estimate | None = None) -> str:
    """As `number`, with a plus where it is positive."""
    text = number(value, like)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def with_interval(estimate: Estimate | None, like: Estimate | None = None, *, sign: bool = False) -> str:
    """`0.5 [0.4, 0.6]`, to the digits of `like`, or else to its own; `none` where there is no estimate."""
    if estimate is None:
        return "none"
    say = signed if sign else number
    like = like or estimate
    if estimate.interval is None:
        return say(estimate.value, like)
    low, high = estimate.interval
    return f"{say(estimate.value, like)} [{say(low, like)}, {say(high, like)}]"


def _word(difference: float, better: str | None) -> str:
    up = difference > 0
    if better is None:
        return HIGHER if up else LOWER
    return BETTER if up == (better == "higher") else WORSE


def _size(difference: Estimate, relative: Estimate | None, unit: str | None) -> str:
    """How large, without its sign, which the word has said: `7.1 tokens, 23 % (6.9 to 7.4, 22 to 24 %; `."""
    size = number(abs(difference.value), difference)
    if unit:
        size += f" {unit}"
    if relative:
        size += f", {percent(abs(relative.value), relative)} %"
    if difference.interval is None:
        return f"{size} ({SAME_IN_EACH}; "
    low, high = sorted(map(abs, difference.interval))
    ends = f"{number(low, difference)} to {number(high, difference)}"
    if relative and relative.interval:
        low, high = sorted(map(abs, relative.interval))
        ends += f", {percent(low, relative)} to {percent(high, relative)} %"
    return f"{size} ({ends}; "


def interval(difference: Estimate) -> str:
    """`-0.1 to +0.3; `."""
    if difference.interval is None:
        return f"{SAME_IN_EACH}; "
    low, high = difference.interval
    return f"{signed(low, difference)} to {signed(high, difference)}; "
