"""Which experiment is this? The same command gives the same run id, a change that can change the result another."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.paths import cache_root, outputs_root
from expctl.base.plain_data import mapping
from expctl.runs.decisive import decisive_part, form_of_0_1, normal_form
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.named_files import existing, files_below, named_files
from expctl.runs.sources import user_sources

UNREADABLE = "unreadable"
MOST_FILES = 10_000

# What this process has read, where nothing can be remembered between processes.
_seen: dict[str, str] = {}


def config_hash(experiment: Experiment) -> str:
    """Hex SHA-256 over what can change the result.

    The resolved config without immaterial settings (see `expctl.runs.decisive`), the source of the user's own code that
    a dotted path names with what it imports from there, and the content of the local files and folders that the config
    names anywhere.
    """
    return _hashed(normal_form(experiment.config), experiment)


def is_same_experiment(experiment: Experiment, hashed: str | None) -> bool:
    """Whether an experiment has this hash, by today's rule or by that of expctl 0.1."""
    if hashed is None:
        return False
    return hashed == config_hash(experiment) or hashed == hash_of_0_1(experiment)


def hash_of_0_1(experiment: Experiment) -> str | None:
    """The hash by the rule of expctl 0.1; None where it follows the same settings as today's."""
    form = form_of_0_1(experiment.config)
    return _hashed(form, experiment) if form != normal_form(experiment.config) else None


def _hashed(form: dict[str, Any], experiment: Experiment) -> str:
    parts = [json.dumps(form, sort_keys=True, default=str)]
    sources = user_sources(form, experiment.code_folders)
    parts += [file.read_text(encoding="utf-8", errors="replace") for file in sources.values()]
    parts += _inputs(form, experiment.folder, sources).values()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def run_id(experiment: Experiment, hashed: str) -> str:
    """`<algorithm>-<model>-<dataset>-s<seed>-<hash8>`."""
    words = [experiment.label(group) for group in ("algorithm", "model", "dataset")]
    words = [re.sub(r"[^A-Za-z0-9_.]+", "_", word) for word in words]
    return "-".join([*words, f"s{experiment.config['seed']}", hashed[:8]])


def run_of(experiment: Experiment, hashed: str | None = None) -> Run:
    """The run that an experiment has, or is to have, in its outputs folder; an earlier expctl may have made it.

    `hashed`: its `config_hash`, where that is known.
    """
    outputs = outputs_root(experiment.folder)
    run = Run(outputs / run_id(experiment, hashed or config_hash(experiment)))
    if run.manifest.exists():
        return run
    before = hash_of_0_1(experiment)
    earlier = Run(outputs / run_id(experiment, before)) if before else run
    return earlier if earlier.manifest.exists() else run


def local_inputs(config: dict[str, Any], folder: Path, sources: Iterable[str] = ()) -> dict[str, str]:
    """File -> SHA-256, of the local files and folders that the decisive part of a config names (see `named_files`).

    The model and the data come first. A file that cannot be read is `unreadable`; a folder of more than `MOST_FILES`
    files is one entry, over their names, sizes and times of change.

    Args:
        config: the resolved root config.
        folder: the experiment's, where relative paths begin.
        sources: names of the user's modules, relative to it; their folders are looked in after it.
    """
    return _inputs(decisive_part(config), folder, sources)


def _inputs(form: dict[str, Any], folder: Path, sources: Iterable[str]) -> dict[str, str]:
    known = _known_digests()
    digests: dict[str, str] = {}
    files_of = _named_by_key(form, folder)
    beside = sorted({(folder / name).parent for name in sources} - {folder})
    for path, files in named_files(form, [folder, *beside]).items():
        files_of.setdefault(path, files)
    for path, files in files_of.items():
        if len(files) > MOST_FILES:
            digests[_name(path, folder)] = _listing(files)
            continue
        for file in files:
            digests.setdefault(_name(file, folder), _digest(file, known))
    _remember(known)
    return digests


def _named_by_key(config: dict[str, Any], folder: Path) -> dict[Path, list[Path]]:
    """What the keys of the model and of the data name, which are paths wherever something is there."""
    files_of = {}
    for group in ("dataset", "model"):
        for key in ("path", "eval_path"):
            text = mapping(config.get(group)).get(key)
            path = existing(text, folder) if isinstance(text, str) else None
            if path is not None:
                files_of[path] = files_below(path, without=outputs_root(folder))
    return files_of


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
    return mapping(read_json(_memory())) | _seen


def _remember(known: dict[str, str]) -> None:
    before = _known_digests()
    _seen.update(known)
    if known != before:
        try:
            _memory().parent.mkdir(parents=True, exist_ok=True)
            write_json(_memory(), known)
        except OSError:
            return  # a read-only home: the next run reads the file again
