"""A series of numbers as a line of small bars."""

import math
from collections.abc import Sequence
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """At most `width` bars from the least to the greatest value; of a longer series each bar is the mean of a stretch.

    A number that is missing, NaN or infinite is a dot where it stands alone, and otherwise left out of its mean.
    """
    stretches = min(len(values), max(width, 1))
    borders = [number * len(values) // max(stretches, 1) for number in range(stretches + 1)]
    means = [_mean(values[begin:end]) for begin, end in pairwise(borders)]
    known = [mean for mean in means if mean is not None]
    if not known:
        return GAP * stretches
    least, greatest = min(known), max(known)
    return "".join(GAP if mean is None else _bar(mean, least, greatest) for mean in means)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    # Divided before they are added: the sum of the largest numbers there are would be none.
    return sum(value / len(known) for value in known) if known else None


def _bar(value: float, least: float, greatest: float) -> str:
    span = greatest / 2 - least / 2
    share = (value / 2 - least / 2) / span if span > 0 else 0.5
    return BARS[min(int(share * len(BARS)), len(BARS) - 1)]
