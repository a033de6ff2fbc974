"""Which experiment is this? The same command gives the same run id, a change that can change the result another."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from expctl.config.experiment import Experiment
from expctl.places import cache_root
from expctl.runs.files import read_json, write_json

# What cannot change the result.
WITHOUT = ("tracker", "force", "name")
ARGS_WITHOUT = (
    "report_to",
    "run_name",
    "output_dir",
    "disable_tqdm",
    "log_level",
    "logging_steps",
    "logging_first_step",
)


def config_hash(experiment: Experiment) -> str:
    """Hex SHA-256 over what can change the result.

    The resolved config without trackers and logging, the source of the user's own code that a dotted path names, and
    the content of local data files and model folders.
    """
    config = {key: value for key, value in experiment.config.items() if key not in WITHOUT}
    config["args"] = {key: value for key, value in config.get("args", {}).items() if key not in ARGS_WITHOUT}
    parts = [json.dumps(config, sort_keys=True, default=str)]
    parts += [file.read_text(encoding="utf-8", errors="replace") for file in user_sources(config, experiment.folder)]
    for group in ("dataset", "model"):
        for key in ("path", "eval_path"):
            parts += _digests(config.get(group, {}).get(key), experiment.folder)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def run_id(experiment: Experiment, hashed: str) -> str:
    """`<algorithm>-<model>-<dataset>-s<seed>-<hash8>`."""
    words = [experiment.label(group) for group in ("algorithm", "model", "dataset")]
    words = [re.sub(r"[^A-Za-z0-9_.]+", "_", word) for word in words]
    return "-".join([*words, f"s{experiment.config['seed']}", hashed[:8]])


def user_sources(config: Any, folder: Path) -> list[Path]:
    """Files of the working folder's own modules that a dotted path in the config names, sorted."""
    files: set[Path] = set()
    for target in _dotted_paths(config):
        top = target.split(".")[0]
        if top == "expctl":  # its version is in the manifest
            continue
        if (folder / f"{top}.py").is_file():
            files.add(folder / f"{top}.py")
        elif (folder / top / "__init__.py").is_file():
            files |= set((folder / top).rglob("*.py"))
    return sorted(files)


def _dotted_paths(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [path for value in node.values() for path in _dotted_paths(value)]
    if isinstance(node, list):
        return [path for value in node for path in _dotted_paths(value)]
    return [node] if isinstance(node, str) and re.fullmatch(r"\w+(\.\w+)+", node) else []


def _digests(path: Any, folder: Path) -> list[str]:
    if not isinstance(path, str) or not (folder / Path(path).expanduser()).exists():
        return []
    root = folder / Path(path).expanduser()
    files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else [root]
    known = _known_digests()
    digests = [_digest(file, known) for file in files]
    _remember(known)
    return digests


def _digest(file: Path, known: dict[str, str]) -> str:
    """SHA-256 of a file's content, remembered by path, size and time of change (a model's weights take seconds)."""
    stat = file.stat()
    if stat.st_size < 1 << 20:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    key = f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    if key not in known:
        with file.open("rb") as opened:
            known[key] = hashlib.file_digest(opened, "sha256").hexdigest()
    return known[key]


def _memory() -> Path:
    return cache_root() / "digests.json"


def _known_digests() -> dict[str, str]:
    return read_json(_memory()) or {}


def _remember(known: dict[str, str]) -> None:
    if known and known != _known_digests():
        try:
            _memory().parent.mkdir(parents=True, exist_ok=True)
            write_json(_memory(), known)
        except OSError:
            return  # a read-only home: the next run reads the file again
