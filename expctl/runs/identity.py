"""Which experiment is this? The same command gives the same run id, a change that can change the result another."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.paths import cache_root, outputs_root
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.named_files import existing, files_below, named_files
from expctl.runs.sources import user_sources

# What cannot change the result.
WITHOUT = ("tracker", "force", "name")
HARDWARE_WITHOUT = ("hang_minutes",)
ARGS_WITHOUT = (
    "report_to",
    "run_name",
    "output_dir",
    "disable_tqdm",
    "log_level",
    "logging_steps",
    "logging_first_step",
)

UNREADABLE = "unreadable"
MOST_FILES = 10_000

# What this process has read, where nothing can be remembered between processes.
_seen: dict[str, str] = {}


def config_hash(experiment: Experiment) -> str:
    """Hex SHA-256 over what can change the result.

    The resolved config without trackers and logging, the source of the user's own code that a dotted path names with
    what it imports from there, and the content of the local files and folders that the config names anywhere.
    """
    config = deciding(experiment.config)
    parts = [json.dumps(config, sort_keys=True, default=str)]
    sources = user_sources(config, experiment.code_folders)
    parts += [file.read_text(encoding="utf-8", errors="replace") for file in sources.values()]
    parts += local_inputs(config, experiment.folder, sources).values()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def deciding(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that can change the result."""
    kept = {key: value for key, value in config.items() if key not in WITHOUT}
    for group, left_out in (("args", ARGS_WITHOUT), ("hardware", HARDWARE_WITHOUT)):
        kept[group] = {key: value for key, value in (kept.get(group) or {}).items() if key not in left_out}
    return kept


def run_id(experiment: Experiment, hashed: str) -> str:
    """`<algorithm>-<model>-<dataset>-s<seed>-<hash8>`."""
    words = [experiment.label(group) for group in ("algorithm", "model", "dataset")]
    words = [re.sub(r"[^A-Za-z0-9_.]+", "_", word) for word in words]
    return "-".join([*words, f"s{experiment.config['seed']}", hashed[:8]])


def run_of(experiment: Experiment, hashed: str | None = None) -> Run:
    """The run that an experiment has, or is to have, in its outputs folder."""
    return Run(outputs_root(experiment.folder) / run_id(experiment, hashed or config_hash(experiment)))


def local_inputs(config: dict[str, Any], folder: Path, sources: Iterable[str] = ()) -> dict[str, str]:
    """File -> SHA-256, of the local files and folders that the deciding part of a config names (see `named_files`).

    The model and the data come first. A file that cannot be read is `unreadable`; a folder of more than `MOST_FILES`
    files is one entry, over their names, sizes and times of change.

    Args:
        folder: the experiment's, where relative paths begin.
        sources: names of the user's modules, relative to it; their folders are looked in after it.
    """
    known = _known_digests()
    found: dict[str, str] = {}
    named = _told_by_key(config, folder)
    beside = sorted({(folder / name).parent for name in sources} - {folder})
    for place, files in named_files(deciding(config), [folder, *beside]).items():
        named.setdefault(place, files)
    for place, files in named.items():
        if len(files) > MOST_FILES:
            found[_name(place, folder)] = _listing(files)
            continue
        for file in files:
            found.setdefault(_name(file, folder), _digest(file, known))
    _remember(known)
    return found


def _told_by_key(config: dict[str, Any], folder: Path) -> dict[Path, list[Path]]:
    """What the keys of the model and of the data name, which are paths wherever something is there."""
    found = {}
    for group in ("dataset", "model"):
        for key in ("path", "eval_path"):
            path = (config.get(group) or {}).get(key)
            place = existing(path, folder) if isinstance(path, str) else None
            if place is not None:
                found[place] = files_below(place, without=outputs_root(folder))
    return found


def _listing(files: list[Path]) -> str:
    """A digest of many files by what the file system says of them: reading all would take minutes."""
    facts = []
    for file in files:
        try:
            stat = file.stat()
            facts.append(f"{file.name}:{stat.st_size}:{stat.st_mtime_ns}")
        except OSError:
            facts.append(f"{file.name}:{UNREADABLE}")
    return hashlib.sha256("\0".join(facts).encode(errors="surrogateescape")).hexdigest()


def _name(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def _digest(file: Path, known: dict[str, str]) -> str:
    """SHA-256 of a file's content, remembered by path, size and time of change (a model's weights take seconds)."""
    try:
        stat = file.stat()
        if stat.st_size < 1 << 20:
            return hashlib.sha256(file.read_bytes()).hexdigest()
        key = f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in known:
            with file.open("rb") as opened:
                known[key] = hashlib.file_digest(opened, "sha256").hexdigest()
        return known[key]
    except OSError:
        return UNREADABLE


def _memory() -> Path:
    return cache_root() / "digests.json"


def _known_digests() -> dict[str, str]:
    return (read_json(_memory()) or {}) | _seen


def _remember(known: dict[str, str]) -> None:
    before = _known_digests()
    _seen.update(known)
    if known != before:
        try:
            _memory().parent.mkdir(parents=True, exist_ok=True)
            write_json(_memory(), known)
        except OSError:
            return  # a read-only home: the next run reads the file again
