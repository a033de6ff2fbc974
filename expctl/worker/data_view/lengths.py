"""Lengths in tokens: what they are spread over, and how many rows a limit cuts or takes out."""

import math
from collections.abc import Sequence as Values
from typing import Any

from expctl.worker.data_view.tokens import Sequence

BINS = 12
# Where the longest row is that many times longer than nearly all, the last bin takes all that is longer than these.
FAR = 2


def lengths(rows: Values[list[Sequence]]) -> dict[str, list[int]]:
    """Name -> tokens a row: of the prompt, of what follows it, and of the longest whole sequence."""
    found: dict[str, list[int]] = {}
    for sequences in rows:
        prompt = max(sequence.prompt_tokens for sequence in sequences)
        if prompt:
            found.setdefault("prompt", []).append(prompt)
        for sequence in sequences:
            rest = len(sequence.ids) - sequence.prompt_tokens
            if rest:
                found.setdefault("completion" if sequence.name == "row" else sequence.name, []).append(rest)
        found.setdefault("whole", []).append(longest(sequences))
    if found.get("prompt") == found.get("whole"):
        found.pop("whole", None)
    return found


def longest(sequences: list[Sequence]) -> int:
    """Tokens of the longest sequence of a row."""
    return max(len(sequence.ids) for sequence in sequences)


def summary(values: list[int]) -> dict[str, Any]:
    """Minimum, median, 95th percentile, maximum, mean and a histogram of at least one length."""
    ordered = sorted(values)
    return {
        "rows": len(ordered),
        "min": ordered[0],
        "median": _quantile(ordered, 0.5),
        "p95": _quantile(ordered, 0.95),
        "max": ordered[-1],
        "mean": sum(ordered) / len(ordered),
        "histogram": _histogram(ordered),
    }


def _quantile(ordered: list[int], share: float) -> int:
    """The smallest value that at least this share of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _histogram(ordered: list[int]) -> list[dict[str, int]]:
    """Bins of equal width, `from` and `to` inclusive; the last one ends at the maximum, however far that is."""
    first, usual = ordered[0], _quantile(ordered, 0.95)
    last = usual if ordered[-1] > FAR * usual else ordered[-1]
    width = max(1, math.ceil((last - first + 1) / BINS))
    starts = [*range(first, last + 1, width)]
    if ordered[-1] >= starts[-1] + width:
        starts.append(starts[-1] + width)
    bins = [{"from": start, "to": start + width - 1, "rows": 0} for start in starts]
    for value in ordered:
        bins[min((value - first) // width, len(bins) - 1)]["rows"] += 1
    bins[-1]["to"] = max(bins[-1]["to"], ordered[-1])
    return bins
