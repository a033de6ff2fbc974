"""What a difference means, in words."""

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
)  # fmt: skip

# Below, a spread is a guess: no verdict but that there are too few.
FEWEST = 3


def verdict(
    *,
    title: str,
    group: str,
    baseline: str,
    better: str | None,
    seeds: int,
    difference: Estimate | None,
    p: float | None,
    alpha: float,
    needed: int | None,
    detectable: float | None,
    pairs: bool,
) -> Verdict:
    """The verdict on one difference, `p` being corrected; `seeds` counts pairs, or the runs of the smaller group.

    A difference that is not shown is `too few seeds` where 100 seeds or fewer would show one of the observed size, and
    `no difference shown` where not even those would.
    """
    counted = f"{seeds} {'seed' if pairs else 'run'}{'s' if seeds != 1 else ''}" + ("" if pairs else " a group")
    if difference is None or seeds < FEWEST:
        have = f"{counted} in common" if pairs else counted
        return Verdict(
            TOO_FEW,
            f"{title}: too few seeds to tell {group} from {baseline}: {have}, at least {FEWEST} are needed",
            max(FEWEST, needed or FEWEST),
        )
    interval = _interval(difference)
    if p is not None and p <= alpha and difference.value != 0:
        up = difference.value > 0
        word = (HIGHER if up else LOWER) if better is None else BETTER if up == (better == "higher") else WORSE
        said = f"{group} is {word} than {baseline} by {number(abs(difference.value))}"
        return Verdict(word, f"{title}: {said}, {interval}, {counted}")
    if difference.value == 0 and p == 1.0 and detectable == 0:
        return Verdict(IDENTICAL, f"{title}: {group} and {baseline} are identical in all {counted}")
    if needed is not None and needed > seeds:
        return Verdict(
            TOO_FEW,
            f"{title}: too few seeds to tell {group} from {baseline}: {signed(difference.value)}, {interval}, "
            f"{counted}; if the difference is real, about {needed} seeds a group would show it",
            needed,
        )
    shown = f"; one of {number(detectable)} or more would have shown" if detectable else ""
    return Verdict(
        NO_DIFFERENCE,
        f"{title}: no difference shown between {group} and {baseline}: {signed(difference.value)}, {interval}, "
        f"{counted}{shown}",
    )


def number(value: float | None) -> str:
    """Four digits that mean something."""
    return "none" if value is None else f"{value:.4g}"


def signed(value: float) -> str:
    return f"{value:+.4g}" if value else "0"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None:
        return "the very same in each"
    return f"between {signed(estimate.low)} and {signed(estimate.high)}"
