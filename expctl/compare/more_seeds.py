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
    open_ones = [one for one in differences if one.verdict and one.verdict.word == TOO_FEW]
    if not open_ones:
        return []
    wanted = max(one.verdict.seeds_needed or 0 for one in open_ones)
    names = {name for one in open_ones for name in (one.group, one.baseline)}
    those = [one for one in groups if one.label in names]
    have = {seed for one in those for seed in one.group.seeds if seed is not None}
    wanted = min(wanted, min(len(one.records) for one in those) + MOST_SEEDS_TYPED)
    lacking = {one.label: _lacking(one, have, wanted) for one in those}
    if not any(lacking.values()):  # runs enough, but not all of them have a number
        return []
    if len({tuple(seeds) for seeds in lacking.values()}) == 1 and (words := _as_grid(those)) is not None:
        return [_command(words, lacking[those[0].label])]
    return [_command(_words(one), lacking[one.label]) for one in those if lacking[one.label]]


def _lacking(one: Grouped, have: set[int], wanted: int) -> list[int]:
    """The seeds of the other groups first, then new ones, until there are enough."""
    own = {seed for seed in one.group.seeds if seed is not None}
    found = sorted(have - own)
    following = max(have, default=-1) + 1
    return found + list(range(following, following + max(0, wanted - len(own) - len(found))))


def _words(one: Grouped) -> list[str]:
    """What follows `expctl` in the command of a run, without the seed."""
    typed = shlex.split(one.records[0].command)[1:]
    return [word for word in typed if word.lstrip("+").partition("=")[0] not in ("seed", "force")]


def _as_grid(groups: Sequence[Grouped]) -> list[str] | None:
    """The words of all groups as one sweep, or None where a sweep would also make others."""
    rows = [_words(one) for one in groups]
    keys = [[word.partition("=")[0] for word in words] for words in rows]
    if any(those != keys[0] for those in keys) or any(sign in word for words in rows for word in words
                                                       for sign in _LIST):  # fmt: skip
        return None
    columns = [list(dict.fromkeys(column)) for column in zip(*rows, strict=True)]
    if prod(map(len, columns)) != len({tuple(words) for words in rows}):
        return None
    return [
        f"{column[0].partition('=')[0]}={','.join(word.partition('=')[2] for word in column)}"
        if column[1:]
        else column[0]
        for column in columns
    ]


def _command(words: Sequence[str], seeds: Sequence[int]) -> str:
    first, end = seeds[0], seeds[-1] + 1
    listed = ",".join(map(str, seeds))
    if len(seeds) > FEW and list(seeds) == list(range(first, end)):
        listed = f"range({first},{end})"
    return shlex.join(["expctl", "-m", *words, f"seed={listed}"])
