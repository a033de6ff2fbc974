"""The commands that make the seeds which a comparison lacks."""

import shlex
from collections.abc import Sequence
from math import prod

from expctl.compare.comparison import TOO_FEW, Difference
from expctl.compare.groups import Grouped

# More than so many cells are a decision, not a hint.
MOST_SEEDS_TYPED = 20
# So many are listed; more are a range, in Hydra's words.
FEW = 5
_LIST = (",", "[", "{", "(")


def commands(groups: Sequence[Grouped], differences: Sequence[Difference]) -> list[str]:
    """Commands that bring every group of an undecided difference to the seeds that the largest one of them needs.

    One sweep where the groups are a grid of values, else one a group. At most 20 seeds are asked for at once: with
    those the observed difference, and so the number needed, will be known better.
    """
    labels: set[str] = set()
    needed = 0
    for difference in differences:
        if difference.verdict and difference.verdict.word == TOO_FEW:
            labels |= {difference.group, difference.baseline}
            needed = max(needed, difference.verdict.seeds_needed or 0)
    undecided = [group for group in groups if group.label in labels]
    if not undecided:
        return []
    present = set[int]().union(*(group.seeds for group in undecided))
    wanted = min(needed, min(len(group.records) for group in undecided) + MOST_SEEDS_TYPED)
    lacking = {group.label: _lacking(group, present, wanted) for group in undecided}
    if not any(lacking.values()):  # runs enough, but not all of them have a number
        return []
    grid = _as_grid(undecided) if len(set(map(tuple, lacking.values()))) == 1 else None
    if grid is not None:
        return [_command(grid, lacking[undecided[0].label])]
    return [_command(_words(group), lacking[group.label]) for group in undecided if lacking[group.label]]


def _lacking(group: Grouped, present: set[int], wanted: int) -> list[int]:
    """The seeds of the other groups first, then new ones, until there are enough."""
    of_others = sorted(present - group.seeds)
    following = max(present, default=-1) + 1
    return of_others + list(range(following, following + max(0, wanted - len(group.seeds) - len(of_others))))


def _words(group: Grouped) -> list[str]:
    """What follows `expctl` in the command of a run, without the seed."""
    typed = shlex.split(group.records[0].command)[1:]
    return [word for word in typed if word.lstrip("+").partition("=")[0] not in ("seed", "force")]


def _as_grid(groups: Sequence[Grouped]) -> list[str] | None:
    """The words of all groups as one sweep, or None where a sweep would also make others."""
    rows = [_words(group) for group in groups]
    keys = {tuple(word.partition("=")[0] for word in words) for words in rows}
    if len(keys) > 1 or any(sign in "".join(words) for words in rows for sign in _LIST):
        return None
    columns = [list(dict.fromkeys(column)) for column in zip(*rows, strict=True)]
    if prod(map(len, columns)) != len({tuple(words) for words in rows}):
        return None
    return [_swept(column) for column in columns]


def _swept(words: Sequence[str]) -> str:
    """One word for several of the same key: `args.beta=0,0.1`."""
    key = words[0].partition("=")[0]
    return f"{key}={','.join(word.partition('=')[2] for word in words)}" if len(words) > 1 else words[0]


def _command(words: Sequence[str], seeds: Sequence[int]) -> str:
    first, end = seeds[0], seeds[-1] + 1
    listed = ",".join(map(str, seeds))
    if len(seeds) > FEW and list(seeds) == list(range(first, end)):
        listed = f"range({first},{end})"
    return shlex.join(["expctl", "-m", *words, f"seed={listed}"])
