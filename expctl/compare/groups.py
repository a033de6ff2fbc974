"""Which runs are repetitions of each other, and what the groups differ in: found from the configs."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expctl.compare.comparison import Group
from expctl.compare.runs import Record
from expctl.runs.filters import text_of

# The order in which a label names what was chosen; other groups follow.
FIRST = ("algorithm", "model", "dataset", "reward", "peft")
# Below it are the rows of a table of experiments, whose names say enough.
ROWS = "experiment/"
ABSENT = "(absent)"
Settings = dict[str, Any]


@dataclass(frozen=True)
class Grouped:
    """A group with its runs as read, by seed."""

    group: Group
    records: list[Record]

    @property
    def label(self) -> str:
        return self.group.label


def group(records: Sequence[Record]) -> tuple[list[Grouped], list[str]]:
    """Groups in the order of their first run, and what a reader should know of how they were made."""
    records = _with_seeds(records)
    differing = _differing(records)
    signature = {record.folder: tuple(canonical(_setting(record, key)) for key in differing) for record in records}
    shown = _shown(records, differing, signature)
    found: dict[tuple, list[Record]] = {}
    for record in records:
        found.setdefault(signature[record.folder], []).append(record)
    grouped, warnings = [], []
    for those in found.values():
        kept, left_out = _one_a_seed(those)
        if left_out:
            named = listed([record.run_id for record in left_out])
            warnings.append(f"{named} left out: a later run has the same settings and seed")
        grouped.append(_grouped(kept, shown))
    return _told_apart(grouped), warnings


def varied(groups: Sequence[Grouped]) -> dict[str, list[Any]]:
    """Key -> its values over the groups, each once."""
    keys = dict.fromkeys(key for one in groups for key in one.group.settings)
    values = {key: [one.group.settings.get(key) for one in groups] for key in keys}
    return {key: [value for place, value in enumerate(those) if value not in those[:place]] for key, those in
            values.items()}  # fmt: skip


def _with_seeds(records: Sequence[Record]) -> list[Record]:
    """The seed is the root's; where that is the same everywhere and the trainer's own was varied, the trainer's."""
    roots = {record.seed for record in records}
    trainers = [record.config.get("args.seed") for record in records]
    if len(roots) == 1 and len(set(map(canonical, trainers))) > 1 and all(isinstance(seed, int) for seed in trainers):
        return [replace(record, seed=seed) for record, seed in zip(records, trainers, strict=True)]
    return list(records)


def _differing(records: Sequence[Record]) -> list[str]:
    """The keys in which runs differ as experiments: not by seed, place or machine."""
    keys = dict.fromkeys(key for record in records for key in [*record.config, *_files(record)])
    manifests = [record.manifest for record in records]
    recorded = all(each.sources is not None and each.inputs is not None for each in manifests)
    machine_typed = len({record.choices.get("hardware") for record in records}) > 1 or any(
        word.lstrip("+~").startswith("hardware.") for record in records for word in record.overrides
    )
    differing = []
    for key in keys:
        values = [_setting(record, key) for record in records]
        if len(set(map(canonical, values))) == 1 or key == "seed":
            continue
        if _follows_seed(values, records) or (key.startswith("file ") and not recorded):
            continue
        if not machine_typed and (key.startswith("hardware.") or _follows_hardware(key, records)):
            continue
        differing.append(key)
    return differing


def _files(record: Record) -> dict[str, str]:
    """The user's own code and local data, by content."""
    return {f"file {name}": digest[:8] for name, digest in (record.code | record.inputs).items()}


def _setting(record: Record, key: str) -> Any:
    return _files(record).get(key, ABSENT) if key.startswith("file ") else record.config.get(key, ABSENT)


def _follows_seed(values: Sequence[Any], records: Sequence[Record]) -> bool:
    """Whether a key is the seed, or the same text but for the seed in it (`runs/s0`, `runs/s1`)."""
    seeds = [record.seed for record in records]
    if all(seed is not None and value == seed and not isinstance(value, bool) for value, seed in
           zip(values, seeds, strict=True)):  # fmt: skip
        return True
    if not all(isinstance(value, str) for value in values) or len(set(seeds)) < 2:
        return False
    without = [re.subn(rf"(?<!\d){seed}(?!\d)", "{seed}", value) for value, seed in zip(values, seeds, strict=True)]
    return all(count for _, count in without) and len({text for text, _ in without}) == 1


def _follows_hardware(key: str, records: Sequence[Record]) -> bool:
    """Whether a trainer's field is in each run what the hardware says (`args.bf16`)."""
    same = f"hardware.{key.removeprefix('args.')}"
    return key.startswith("args.") and all(
        same in record.config and record.config[same] == record.config.get(key) for record in records
    )


def _shown(records: Sequence[Record], differing: list[str], signature: dict) -> dict[str, Callable[[Record], Any]]:
    """Name -> value of the few keys that tell the groups apart.

    First options of config groups, which stand for all that their files set; then what was typed besides; then whatever
    else is needed, as where a file of the config was edited between two runs.
    """
    shown: dict[str, Callable[[Record], Any]] = {}

    def partition() -> set:
        return {tuple(canonical(value(record)) for value in shown.values()) for record in records}

    chosen = sorted({name for record in records for name in record.choices})
    rows = [name for name in chosen if name.startswith(ROWS)]
    choices = dict.fromkeys([*rows, *FIRST, *chosen])
    typed = {word.lstrip("+~").partition("=")[0].replace("/", ".") for record in records for word in record.overrides}
    for name in choices:
        value = _choice(name)
        by_group = {(signature[record.folder], canonical(value(record))) for record in records}
        if len({option for _, option in by_group}) > 1 and len(by_group) == len({group for group, _ in by_group}):
            before = partition()
            shown[name] = value
            if len(partition()) == len(before):
                del shown[name]
    wanted = len(set(signature.values()))
    for key in sorted(differing, key=lambda key: key not in typed):
        if key in choices:  # `peft: null` beside an adapter's settings: the option has said so
            continue
        if key in typed or len(partition()) < wanted:
            before = len(partition())
            shown[key] = _value(key)
            if key not in typed and len(partition()) == before:
                del shown[key]
    return shown


def _choice(name: str) -> Callable[[Record], Any]:
    return lambda record: record.choices.get(name, ABSENT)


def _value(key: str) -> Callable[[Record], Any]:
    return lambda record: _setting(record, key)


def _one_a_seed(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The latest run of each seed, by seed; and the others."""
    latest: dict[Any, Record] = {}
    for record in sorted(records, key=lambda record: str(record.manifest.ended)):
        latest[record.folder if record.seed is None else record.seed] = record
    kept = sorted(latest.values(), key=lambda record: (record.seed is None, record.seed or 0))
    folders = {record.folder for record in kept}
    return kept, [record for record in records if record.folder not in folders]


def _grouped(records: list[Record], shown: dict[str, Callable[[Record], Any]]) -> Grouped:
    settings = {name: found for name, value in shown.items() if (found := value(records[0])) != ABSENT}
    label = " ".join(_labelled(name, value) for name, value in settings.items()) or "all runs"
    return Grouped(
        Group(
            label=label,
            settings=settings,
            runs=[record.run_id for record in records],
            folders=[record.folder for record in records],
            seeds=[record.seed for record in records],
            overrides=[word for word in records[0].overrides if not word.lstrip("+").startswith("seed=")],
        ),
        records,
    )


def _labelled(name: str, value: Any) -> str:
    return typed(value) if name.startswith(ROWS) else f"{name.removeprefix('args.')}={typed(value)}"


def _told_apart(groups: list[Grouped]) -> list[Grouped]:
    """Labels are unique: where a key that is absent leaves two alike, it is named."""
    labels = [one.label for one in groups]
    if len(set(labels)) == len(labels):
        return groups
    return [
        replace(one, group=replace(one.group, label=f"{one.label} ({one.group.runs[0]})"))
        if labels.count(one.label) > 1
        else one
        for one in groups
    ]


def typed(value: Any) -> str:
    """A value as a person types it."""
    if isinstance(value, float):
        return f"{value:g}"
    return canonical(value) if isinstance(value, list | dict) else text_of(value)


def canonical(value: Any) -> str:
    """The same text for the same value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, default=str)


def listed(names: Sequence[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
