"""In which settings runs differ: those of a list by the few keys that somebody varied, and a run from itself before."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from expctl.base.plain_data import leaves
from expctl.runs.decisive import decisive_part, reason_immaterial
from expctl.runs.filters import text_of

Facts = Mapping[str, Any]
# Dotted key, value before, value now.
Difference = tuple[str, Any, Any]
# These stand in a run's id.
IN_ID = ("algorithm", "model", "dataset", "seed")
_NO_SETTING = ("versions.", "before.", "train.")


def differing(runs: list[Facts]) -> list[str]:
    """The keys by which the runs are told apart, those that were typed first; what cannot change a result is none.

    Where some of the runs cannot be told apart by these and by their ids' algorithm, model, dataset and seed (a config
    file was changed in between), the other keys of the config in which these differ follow.
    """
    keys = _keys(runs)
    varied = [key for key in _typed(runs, keys) if _tells_apart(key, runs)]
    groups: dict[str, list[Facts]] = {}
    for facts in runs:
        values = [facts.get(key) for key in (*IN_ID, *varied)]
        groups.setdefault(repr(values), []).append(facts)
    alike = [group for group in groups.values() if len(group) > 1]
    settings = [key for key in keys if "." in key and not key.startswith(_NO_SETTING) and key not in varied]
    return varied + [key for key in settings if any(_tells_apart(key, group) for group in alike)]


def _typed(runs: Iterable[Facts], keys: Iterable[str]) -> list[str]:
    """The keys that were typed, as facts call them: groups before single values, and what was typed often first."""
    counts = Counter(key for facts in runs for key in facts.get("typed") or () if isinstance(key, str))
    names: dict[str, None] = {}
    for key in sorted(counts, key=lambda key: ("." in key, -counts[key])):
        # A mapping that was typed as a whole stands in the config leaf by leaf.
        names |= dict.fromkeys([key] if key in keys else [name for name in keys if name.startswith(f"{key}.")])
    return [key for key in names if key not in (*IN_ID, "sweep") and not key.startswith("hydra")]


def _keys(runs: Iterable[Facts]) -> dict[str, None]:
    """The keys of all runs, in order; most runs have the same."""
    orders = {tuple(facts): None for facts in runs}
    return dict.fromkeys(key for keys in orders for key in keys)


def _tells_apart(key: str, runs: list[Facts]) -> bool:
    first = runs[0].get(key)
    if all(facts.get(key) == first for facts in runs):
        return False
    return any(reason_immaterial(key, facts) is None for facts in runs)


def differences(was: Any, now: Any, key: str = "") -> list[Difference]:
    """(dotted key, value before, value now) of each leaf that differs; a missing one is None."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return [] if was == now else [(key, was, now)]
    prefix = f"{key}." if key else ""
    differing_leaves = []
    for name in was | now:
        differing_leaves += differences(was.get(name), now.get(name), f"{prefix}{name}")
    return differing_leaves


def immaterial_changes(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A sentence for each setting of a config that has changed and cannot change the result; none where others have."""
    if decisive_part(was) != decisive_part(now):
        return []
    settings = dict(leaves(now))
    sentences = []
    for key, before, value in differences(was, now):
        reason = reason_immaterial(key, settings)
        if reason is not None and key != "force":
            sentences.append(f"{key} is {text_of(value)} from here on (it was {text_of(before)}): {reason}")
    return sentences
