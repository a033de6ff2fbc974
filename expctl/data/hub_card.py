"""Which files of a repository of the hub are a split: by its card, else by their names, as `datasets` has it.

`datasets` takes seconds to import, and of a repository of which only some files were downloaded it refuses all. The
rules are those of `datasets.data_files`: `configs` of the card; else `data/train-00000-of-00001.*`; else folders, else
files, with the name of a split as one of their words; else all files are the split `train`. Torch-free.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from expctl.base.plain_data import mapping
from expctl.data.formats import FORMATS, format_of, is_data_file

Card = dict[str, Any]
CARD = "README.md"
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)
_SHARDED = re.compile(r"data/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}.*\.[^/]*")
_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_WILDCARDS = re.compile(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])")
_AS_REGEX = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def read_card(file: Path) -> Card:
    """The YAML that a README.md begins with; empty where there is none that can be read."""
    try:
        found = _FRONT_MATTER.match(file.read_text(encoding="utf-8", errors="replace"))
        return mapping(yaml.safe_load(found[1])) if found else {}
    except (OSError, yaml.YAMLError):
        return {}


def split_files(names: list[str], card: Card, path: str, *, name: str | None, split: str, key: str) -> list[str]:
    """The files of one split, in their order.

    Args:
        names: of all files there are, relative to the repository.
        card: of the repository.
        path: of the repository, for the message.
        name, split: as in `hub_location.find`.
        key: the config key of the split.

    Returns:
        Empty where the card knows the split and its files are not among `names`.

    Raises:
        ValueError: no such name or split, or files in a format that is not read.
    """
    config = _config(card, path, name)
    splits = _by_patterns(names, config) if config.get("data_files") else _by_words(_below(names, config))
    if split not in splits:
        if not splits and not config:
            raise ValueError(f"dataset.path={path} has no data file ({', '.join(FORMATS)}); it has {_some(names)}.")
        nearest = difflib.get_close_matches(split, splits, n=1, cutoff=0.5)
        hint = f"\n{key}={nearest[0]}" if nearest else f"\n{key}=<one of these>"
        raise ValueError(f"{key}={split}: {path} has no such split. It has: {', '.join(splits)}.{hint}")
    read = [file for file in splits[split] if is_data_file(Path(file))]
    if splits[split] and not read:
        raise ValueError(f"dataset.path={path}: {_some(splits[split])} cannot be read; {', '.join(FORMATS)} can.")
    formats = Counter(format_of(Path(file)) for file in read).most_common(1)
    return [file for file in read if format_of(Path(file)) == formats[0][0]]


def _config(card: Card, path: str, name: str | None) -> dict[str, Any]:
    """The card's entry for one of its data sets; empty where the card has none."""
    entries = card.get("configs")
    configs = {
        str(each.get("config_name")): each for each in map(mapping, entries if isinstance(entries, list) else [])
    }
    if not configs:
        if name not in (None, "default"):
            raise ValueError(f"dataset.name={name}: {path} is one data set without a name.\nleave dataset.name out.")
        return {}
    if name is None:
        default = [each for each in configs if each == "default" or configs[each].get("default")]
        if not default and len(configs) > 1:
            raise ValueError(
                f"dataset.path={path} is several data sets: {', '.join(configs)}.\ndataset.name=<one of these>"
            )
        name = default[0] if default else next(iter(configs))
    if name not in configs:
        nearest = difflib.get_close_matches(name, configs, n=1, cutoff=0.4)
        raise ValueError(
            f"dataset.name={name}: {path} has no such data set. It has: {', '.join(configs)}.\n"
            f"dataset.name={nearest[0] if nearest else '<one of these>'}"
        )
    return configs[name]


def _by_patterns(names: list[str], config: dict[str, Any]) -> dict[str, list[str]]:
    """Split -> the files that fit its patterns, `data_files` of a card: one, several, or several for each split."""
    entries = config["data_files"]
    patterns: dict[str, list[str]] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        each = entry if isinstance(entry, dict) else {"split": "train", "path": entry}
        wanted = each.get("path") or []
        patterns.setdefault(str(each.get("split")), []).extend(wanted if isinstance(wanted, list) else [wanted])
    below = _below(names, config)
    return {split: [file for pattern in each for file in _fitting(below, pattern)] for split, each in patterns.items()}


def _below(names: list[str], config: dict[str, Any]) -> dict[str, str]:
    """Name below the folder `data_dir` of a card's entry -> whole name; hidden files and the card's own are none."""
    folder = str(config.get("data_dir") or "").strip("./")
    start = f"{folder}/" if folder else ""
    parts = {name: PurePosixPath(name).parts for name in names if name.startswith(start)}
    return {name[len(start) :]: name for name, all_ in parts.items() if not any(each[:1] == "." for each in all_)}


def _fitting(names: dict[str, str], pattern: Any) -> list[str]:
    pieces = _WILDCARDS.split(str(pattern).removeprefix("./"))
    regex = "".join(_AS_REGEX.get(piece, piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)
    return [name for below, name in names.items() if re.fullmatch(regex, below)]


def _by_words(names: dict[str, str]) -> dict[str, list[str]]:
    """Split -> its files, by the words in their names."""
    data = {below: name for below, name in names.items() if is_data_file(Path(below)) and not _is_description(below)}
    sharded = {below: found[1] for below in data if (found := _SHARDED.fullmatch(below))}
    folders = {below: split for below in data if (split := split_in(PurePosixPath(below).parts[:-1]))}
    files = {below: split for below in data if (split := split_in([PurePosixPath(below).name]))}
    splits: dict[str, list[str]] = {}
    for below, split in (sharded or folders or files or dict.fromkeys(data, "train")).items():
        splits.setdefault(split, []).append(data[below])
    return splits


def split_in(words: Iterable[str]) -> str | None:
    """The split that is a word of one of these names of folders and files; None where none is."""
    for split, spellings in _SPLIT_WORDS.items():
        pattern = rf"(?:^|[-._ 0-9])(?:{'|'.join(spellings)})(?:[-._ 0-9]|$)"
        if any(re.search(pattern, word) for word in words):
            return split
    return None


def _is_description(name: str) -> bool:
    return PurePosixPath(name).name in ("config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json")


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "no file"
