"""Which runs are repetitions of each other, and what the groups differ in: found from the configs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expctl.base.words import dotted_key_of
from expctl.compare.comparison import Group
from expctl.compare.labels import ROWS, canonical, label_of, listed
from expctl.compare.runs import Record

# The order in which a label names what was chosen; other groups follow.
FIRST = ("algorithm", "model", "dataset", "reward", "peft")
ABSENT = "(absent)"
CUT_BY_HARDWARE = ("args.per_device_train_batch_size", "args.gradient_accumulation_steps", "args.steps_per_generation")
ComparedSettings = dict[str, Any]
Facts = Callable[[Record], Any]
# The values of the keys in which runs differ: the same for the runs of a group.
Signature = tuple[str, ...]


@dataclass(frozen=True)
class Grouped:
    """A group with its runs as read, by seed."""

    group: Group
    records: list[Record]

    @property
    def label(self) -> str:
        """The group's unique name, for people."""
        return self.group.label

    @property
    def settings(self) -> ComparedSettings:
        """What the label is made of, by key."""
        return self.group.settings

    @property
    def seeds(self) -> set[int]:
        """The seeds of the runs that have one."""
        return {seed for seed in self.group.seeds if seed is not None}


def group_runs(records: Sequence[Record]) -> tuple[list[Grouped], list[str]]:
    """Groups in the order of their first run, and what a reader should know of how they were made."""
    records = _with_seeds(records)
    differing = _differing(records)
    signature = {record.folder: tuple(canonical(_setting(record, key)) for key in differing) for record in records}
    shown = _shown(records, differing, signature)
    by_signature: dict[Signature, list[Record]] = {}
    for record in records:
        by_signature.setdefault(signature[record.folder], []).append(record)
    groups, warnings = [], []
    for repetitions in by_signature.values():
        kept, left_out = _one_a_seed(repetitions)
        if left_out:
            names = listed([record.run_id for record in left_out])
            warnings.append(f"{names} left out: a later run has the same settings and seed")
        groups.append(_grouped(kept, shown))
    return _told_apart(groups), warnings


def varied(groups: Sequence[Grouped]) -> dict[str, list[Any]]:
    """Key -> its values over the groups, each once."""
    values: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for group in groups for key in group.settings):
        values[key] = []
        for group in groups:
            value = group.settings.get(key)
            if value not in values[key]:
                values[key].append(value)
    return values


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
    recorded = all(record.manifest.sources is not None and record.manifest.inputs is not None for record in records)
    typed_keys = {dotted_key_of(word) for record in records for word in record.overrides}
    machine_typed = len({record.choices.get("hardware") for record in records}) > 1
    machine_typed = machine_typed or any(key.startswith("hardware.") for key in typed_keys)
    differing = []
    for key in keys:
        values = [_setting(record, key) for record in records]
        if len(set(map(canonical, values))) == 1 or key == "seed":
            continue
        if _follows_seed(values, records) or (key.startswith("file ") and not recorded):
            continue
        if not machine_typed and key not in typed_keys and _follows_hardware(key, records):
            continue
        differing.append(key)
    return differing


def _files(record: Record) -> dict[str, str]:
    """The user's own code and local data, by content."""
    return {f"file {name}": digest[:8] for name, digest in (record.code | record.inputs).items()}


def _setting(record: Record, key: str) -> Any:
    return _files(record).get(key, ABSENT) if key.startswith("file ") else record.config.get(key, ABSENT)


def _follows_seed(values: Sequence[Any], records: Sequence[Record]) -> bool:
    """Whether a key is the seed, or the same text but for the seed in it (`runs/s0`, `runs/s1`), where there is one."""
    pairs = [(value, record.seed) for value, record in zip(values, records, strict=True) if value is not ABSENT]
    if all(seed is not None and value == seed and not isinstance(value, bool) for value, seed in pairs):
        return True
    if not all(isinstance(value, str) for value in values) or len({seed for _, seed in pairs}) < 2:
        return False
    templates = [re.subn(rf"(?<!\d){seed}(?!\d)", "{seed}", value) for value, seed in pairs]
    return all(count for _, count in templates) and len({text for text, _ in templates}) == 1


def _follows_hardware(key: str, records: Sequence[Record]) -> bool:
    """Whether a key is the machine's, or in each run what the hardware says (`args.bf16`), or how that cuts a step."""
    if key in CUT_BY_HARDWARE:
        return all("prompts_per_step" in record.config for record in records)
    group, _, name = key.partition(".")
    said = all(record.config.get(f"hardware.{name}", ABSENT) == record.config.get(key) for record in records)
    return group == "hardware" or (group == "args" and said)


def _shown(records: Sequence[Record], differing: list[str], signature: dict[Path, Signature]) -> dict[str, Facts]:
    """Name -> value of the few keys that tell the groups apart.

    First options of config groups, which stand for all that their files set; then what was typed besides; then whatever
    else is needed, as where a file of the config was edited between two runs.
    """
    shown: dict[str, Facts] = {}
    options = _options(records)
    for option in options:
        if _is_one_a_group(option, records, signature):
            before = _parts(records, shown)
            shown[option] = _choice(option)
            if _parts(records, shown) == before:
                del shown[option]
    typed_keys = {dotted_key_of(word) for record in records for word in record.overrides}
    wanted = len(set(signature.values()))
    for key in sorted(differing, key=lambda key: key not in typed_keys):
        if key in options:  # `peft: null` beside an adapter's settings: the option has said so
            continue
        before = _parts(records, shown)
        if key in typed_keys or before < wanted:
            shown[key] = _value(key)
            if key not in typed_keys and _parts(records, shown) == before:
                del shown[key]
    return shown


def _options(records: Sequence[Record]) -> list[str]:
    """The config groups in which something was chosen, in the order in which a label names them."""
    chosen = sorted({name for record in records for name in record.choices})
    rows = [name for name in chosen if name.startswith(ROWS)]
    return list(dict.fromkeys([*rows, *FIRST, *chosen]))


def _is_one_a_group(option: str, records: Sequence[Record], signature: dict[Path, Signature]) -> bool:
    """Whether the choice differs between groups and is the same within each."""
    choice = _choice(option)
    pairs = {(signature[record.folder], canonical(choice(record))) for record in records}
    return len({chosen for _, chosen in pairs}) > 1 and len(pairs) == len({of_group for of_group, _ in pairs})


def _parts(records: Sequence[Record], shown: dict[str, Facts]) -> int:
    """Into how many parts the shown values divide the runs."""
    return len({tuple(canonical(value(record)) for value in shown.values()) for record in records})


def _choice(name: str) -> Facts:
    before = "transformers" if name == "generation" else ABSENT  # of runs from before that group
    return lambda record: record.choices.get(name, before)


def _value(key: str) -> Facts:
    return lambda record: _setting(record, key)


def _one_a_seed(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The latest run of each seed, by seed; and the others."""
    latest: dict[Any, Record] = {}
    for record in sorted(records, key=lambda record: str(record.manifest.ended)):
        latest[record.folder if record.seed is None else record.seed] = record
    kept = sorted(latest.values(), key=lambda record: (record.seed is None, record.seed or 0))
    folders = {record.folder for record in kept}
    return kept, [record for record in records if record.folder not in folders]


def _grouped(records: list[Record], shown: dict[str, Facts]) -> Grouped:
    values = {name: value(records[0]) for name, value in shown.items()}
    settings = {name: value for name, value in values.items() if value != ABSENT}
    group = Group(
        label=label_of(settings, lacking=list(values)),
        settings=settings,
        runs=[record.run_id for record in records],
        folders=[record.folder for record in records],
        seeds=[record.seed for record in records],
        overrides=[word for word in records[0].overrides if not word.lstrip("+").startswith("seed=")],
    )
    return Grouped(group, records)


def _told_apart(groups: list[Grouped]) -> list[Grouped]:
    """Labels are unique: where a key that is absent leaves two alike, they get the name of their first run."""
    labels = [group.label for group in groups]
    unique = []
    for group in groups:
        if labels.count(group.label) > 1:
            label = f"{group.label} ({group.group.runs[0]})"
            group = replace(group, group=replace(group.group, label=label))
        unique.append(group)
    return unique
