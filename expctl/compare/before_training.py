"""Where metrics stood before training: with one model and one sampling, a seed starts alike in all groups."""

import math
from collections.abc import Iterator, Sequence

from expctl.compare import statistics
from expctl.compare.comparison import RunValue, SeedStatistics
from expctl.compare.groups import Grouped
from expctl.compare.labels import listed
from expctl.compare.runs import Record

START = "start"
# Last digits differ between processors; another model or another draw differs by far more.
SAME = 1e-6


def start_summary(name: str, groups: Sequence[Grouped], level: float) -> SeedStatistics | None:
    """A metric before training, one value a seed.

    None where a group was not evaluated then, has no seed in common with the first (whether they agree is not known),
    or does not agree with another: a mean of different starts is nobody's.
    """
    by_seed = [_by_seed(name, group) for group in groups]
    first = by_seed[0]
    if not first or not all(first.keys() & other.keys() for other in by_seed[1:]) or _disagreement(name, groups):
        return None
    starts: dict[int | str, RunValue] = {}
    for of_group in reversed(by_seed):
        starts |= of_group
    values = sorted(starts.values(), key=lambda value: (value.seed is None, value.seed or 0))
    numbers = [value.value for value in values if value.value is not None]
    iqm = statistics.interquartile_mean(numbers, level)
    return SeedStatistics(START, len(values), statistics.mean(numbers, level), iqm, values)


def different_starts(titles: dict[str, str], groups: Sequence[Grouped]) -> list[str]:
    """A sentence where the same seed of two groups starts at other values; `titles`: metric -> what it is called."""
    by_title = {title: _disagreement(name, groups) for name, title in titles.items()}
    disagreements = {title: values for title, values in by_title.items() if values}
    if not disagreements:
        return []
    title, values = next(iter(disagreements.items()))
    metrics = listed(list(disagreements))
    return [f"groups differ before training already, so have no line '{START}': {metrics} ({title} {values})"]


def _by_seed(name: str, group: Grouped) -> dict[int | str, RunValue]:
    """Seed -> value before training of the runs that have one."""
    return {_draw(record): RunValue(record.run_id, record.seed, value) for record, value in _known(name, group)}


def _disagreement(name: str, groups: Sequence[Grouped]) -> str | None:
    """The first seed that does not start alike in two groups: `of seed 0: 41 (grpo), 45 (gfpo)`."""
    first: dict[int | str, tuple[float, str]] = {}
    for group in groups:
        for record, value in _known(name, group):
            other, label = first.setdefault(_draw(record), (value, group.label))
            if not math.isclose(other, value, rel_tol=SAME, abs_tol=1e-12):
                return f"of seed {record.seed}: {other:.4g} ({label}), {value:.4g} ({group.label})"
    return None


def _known(name: str, group: Grouped) -> Iterator[tuple[Record, float]]:
    for record in group.records:
        value = record.before.get(name)
        if value is not None:
            yield record, value


def _draw(record: Record) -> int | str:
    """A run without a seed is a draw of its own."""
    return record.run_id if record.seed is None else record.seed
