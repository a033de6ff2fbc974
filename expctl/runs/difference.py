"""In what the runs of a list differ: the few keys that somebody varied, out of hundreds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Facts = Mapping[str, Any]
# Read off the id of a run, or of no meaning for it.
WITHOUT = ("algorithm", "model", "dataset", "seed", "force", "name", "sweep")
_NO_SETTING = ("versions.", "before.", "train.")


def differing(runs: list[Facts]) -> list[str]:
    """The keys by which the runs are told apart, those that were typed first.

    Where some of the runs cannot be told apart by these and by their ids' algorithm, model, dataset and seed (a config
    file was changed in between), the other keys of the config in which these differ follow.
    """
    keys = _keys(runs)
    varied = [key for key in _typed(runs, keys) if _varies(key, runs)]
    groups: dict[str, list[Facts]] = {}
    for facts in runs:
        told_apart = [facts.get(key) for key in (*WITHOUT[:4], *varied)]
        groups.setdefault(repr(told_apart), []).append(facts)
    alike = [group for group in groups.values() if len(group) > 1]
    settings = [key for key in keys if "." in key and not key.startswith(_NO_SETTING) and key not in varied]
    return varied + [key for key in settings if any(_varies(key, group) for group in alike)]


def _typed(runs: Iterable[Facts], keys: Iterable[str]) -> list[str]:
    """The keys that were typed, as facts call them: groups before single values, and what was typed often first."""
    typed = Counter(key for facts in runs for key in facts.get("typed") or () if isinstance(key, str))
    found = []
    for key in sorted(typed, key=lambda key: ("." in key, -typed[key])):
        # A mapping that was typed as a whole stands in the config leaf by leaf.
        found += [key] if key in keys else [name for name in keys if name.startswith(f"{key}.")]
    return [key for key in dict.fromkeys(found) if key not in WITHOUT and not key.startswith("hydra")]


def _keys(runs: Iterable[Facts]) -> dict[str, None]:
    """The keys of all runs, in order; most runs have the same."""
    alike = {tuple(facts): None for facts in runs}
    return dict.fromkeys(key for keys in alike for key in keys)


def _varies(key: str, runs: list[Facts]) -> bool:
    first = runs[0].get(key)
    return any(facts.get(key) != first for facts in runs)
