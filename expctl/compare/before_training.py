"""Where metrics stood before training: with one model and one sampling, a seed starts alike in all groups."""

import math
from collections.abc import Sequence

from expctl.compare import statistics
from expctl.compare.comparison import RunValue, Summary
from expctl.compare.groups import Grouped, listed

START = "start"
# Last digits differ between processors; another model or another draw differs by far more.
SAME = 1e-6


def start(name: str, groups: Sequence[Grouped], level: float) -> Summary | None:
    """A metric before training, one value a seed.

    None where a group was not evaluated then, has no seed in common with the first (whether they agree is not known),
    or does not agree with another: a mean of different starts is nobody's.
    """
    first, *others = ({_seed(value): value for value in _values(name, one)} for one in groups)
    if not first or any(not first.keys() & those.keys() for those in others) or _odd_one(name, groups):
        return None
    by_seed = {seed: value for those in (*reversed(others), first) for seed, value in those.items()}
    values = sorted(by_seed.values(), key=lambda value: (value.seed is None, value.seed or 0))
    numbers = [value.value for value in values]
    iqm = statistics.interquartile_mean(numbers, level)
    return Summary(START, len(values), statistics.mean(numbers, level), iqm, values)


def started_otherwise(titles: dict[str, str], groups: Sequence[Grouped]) -> list[str]:
    """A sentence where the same seed of two groups starts at other values; `titles`: metric -> what it is called."""
    odd = {title: said for name, title in titles.items() if (said := _odd_one(name, groups))}
    if not odd:
        return []
    title, said = next(iter(odd.items()))
    return [f"groups differ before training already, so have no line '{START}': {listed(list(odd))} ({title} {said})"]


def _values(name: str, one: Grouped) -> list[RunValue]:
    return [RunValue(record.run_id, record.seed, value) for record in one.records
            if (value := record.before.get(name)) is not None]  # fmt: skip


def _seed(value: RunValue) -> int | str:
    """A run without a seed is a draw of its own."""
    return value.run_id if value.seed is None else value.seed


def _odd_one(name: str, groups: Sequence[Grouped]) -> str | None:
    """The first seed that does not start alike in two groups: `of seed 0: 41 (grpo), 45 (gfpo)`."""
    known: dict[int | str, tuple[float, str]] = {}
    for one in groups:
        for value in _values(name, one):
            there, label = known.setdefault(_seed(value), (value.value, one.label))
            if not math.isclose(there, value.value, rel_tol=SAME, abs_tol=1e-12):
                return f"of seed {value.seed}: {there:.4g} ({label}), {value.value:.4g} ({one.label})"
    return None
