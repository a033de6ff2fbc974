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


def verdict(
    *,
    title: str,
    group: str,
    baseline: str,
    better: str | None,
    seeds: int,
    paired: bool,
    difference: Estimate | None,
    p: float | None,
    p_corrected: float | None,
    alpha: float,
    needed: int | None,
    detectable: float | None,
) -> Verdict:
    """The verdict on one difference; `seeds` counts pairs, or the runs of the smaller group.

    A difference that is not shown is `too few seeds` where 100 seeds or fewer would show one of the observed size, and
    `no difference shown` where not even those would.
    """
    pair = f"{group} from {baseline}"
    counted = f"{seeds} {'seed' if paired else 'run'}{'s' if seeds != 1 else ''}{'' if paired else ' a group'}"
    if difference is None or seeds < FEWEST:
        said = f"{title}: too few seeds to tell {pair}: {counted}, at least {FEWEST} are needed"
        return Verdict(TOO_FEW, said, max(FEWEST, needed or FEWEST))
    if p_corrected is not None and p_corrected <= alpha:
        word = _word(difference.value, better)
        said = f"{title}: {group} is {word} than {baseline} by {_size(difference)}"
        return Verdict(word, f"{said}{counted}, p = {p_corrected:.2g})")
    if difference.value == 0 and detectable == 0:
        return Verdict(IDENTICAL, f"{title}: {group} and {baseline} are identical, {counted}")
    observed = f"{signed(difference.value, difference)} ({_interval(difference)}{counted}, p = {p_corrected:.2g})"
    if p is not None and p <= alpha:
        observed += ", which would count alone but not among so many comparisons"
    if needed is not None:
        needed = max(needed, seeds + 1)
        said = f"{title}: too few seeds to tell {pair}: {observed}; if that is real, about {needed} seeds would show it"
        return Verdict(TOO_FEW, said, needed)
    shown = f"; {number(detectable, difference)} or more would have shown" if detectable else ""
    said = f"{title}: no difference shown between {group} and {baseline}: {observed}{shown}"
    return Verdict(NO_DIFFERENCE, said)


def number(value: float | None, like: Estimate | None = None) -> str:
    """A value to the digits that mean something: two of the interval's half-width, or four of its own."""
    if value is None:
        return "none"
    if like is None or like.low is None or like.high is None:
        return f"{value:.4g}"
    # Halved first: the difference of two numbers near 1e308 is none.
    half = like.high / 2 - like.low / 2
    digits = 1 - floor(log10(half)) if 0 < half < inf else -1
    return f"{value:.{digits}f}" if 0 <= digits <= 8 else f"{value:.4g}"


def signed(value: float, like: Estimate | None = None) -> str:
    text = number(value, like)
    return text if text.startswith("-") or float(text) == 0 else f"+{text}"


def _word(difference: float, better: str | None) -> str:
    up = difference > 0
    if better is None:
        return HIGHER if up else LOWER
    return BETTER if up == (better == "higher") else WORSE


def _size(difference: Estimate) -> str:
    """How large, without its sign, which the word has said."""
    size = number(abs(difference.value), difference)
    if difference.low is None:
        return f"{size} (the very same in each; "
    low, high = sorted((abs(difference.low), abs(difference.high)))
    return f"{size} ({number(low, difference)} to {number(high, difference)}; "


def _interval(difference: Estimate) -> str:
    if difference.low is None:
        return "the very same in each; "
    return f"{signed(difference.low, difference)} to {signed(difference.high, difference)}; "
