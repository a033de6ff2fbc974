"""Which experiment is this? The same command gives the same run id, a change that can change the result another."""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.paths import cache_root, outputs_root
from expctl.base.plain_data import at, mapping
from expctl.runs.decisive import decisive_part, form_of_0_1, normal_form
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.handed_on import ADAPTER, loaded_files
from expctl.runs.large_files import blocks_of_each, digest_of_blocks
from expctl.runs.named_files import files_below, named_files, paths_at
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
    if starts_from_run(experiment.config):
        return None  # expctl 0.1 knew no such thing
    form = form_of_0_1(experiment.config)
    return _hashed(form, experiment) if form != normal_form(experiment.config) else None


def _hashed(form: dict[str, Any], experiment: Experiment) -> str:
    parts = [json.dumps(form, sort_keys=True, default=str)]
    sources = user_sources(form, experiment.code_folders)
    parts += [file.read_text(encoding="utf-8", errors="replace") for file in sources.values()]
    parts += _inputs(form, experiment.folder, sources, _run_weights(experiment.config, experiment.folder)).values()
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
    return _inputs(decisive_part(config), folder, sources, _run_weights(config, folder))


def starts_from_run(config: dict[str, Any]) -> bool:
    """Whether the weights are those of an earlier run (`model=run:RUN`), which count by their content alone."""
    return bool(mapping(config.get("model")).get("run"))


def _run_weights(config: dict[str, Any], folder: Path) -> list[Path]:
    """The folder with the weights of the earlier run that an experiment starts from, and its random states, if any."""
    if not starts_from_run(config):
        return []
    states = folder / str(at(config, "algorithm", "trainer", "random_states"))
    return [folder / str(config["model"]["path"]), *([states] if states.is_file() else [])]


def _weights_digests(weights: Path, folder: Path, known: dict[str, str]) -> dict[str, str]:
    """File -> digest of a file, or of what is loaded from a folder with weights, and from that below an adapter."""
    digests: dict[str, str] = {}
    for file in [weights] if weights.is_file() else loaded_files(weights):
        if file.name != ADAPTER:
            digests[_name(file, folder)] = _digest(file, known)
            continue
        settings = mapping(read_json(file))
        base = Path(str(settings.get("base_model_name_or_path") or "")).expanduser()
        if base.is_dir() and base.is_absolute() and base != weights.absolute():
            del settings["base_model_name_or_path"]  # its content counts, and not its place
            digests |= _weights_digests(base, folder, known)
        digests[_name(file, folder)] = hashlib.sha256(json.dumps(_sorted(settings)).encode()).hexdigest()
    return digests


def _sorted(node: Any) -> Any:
    """Nested settings in one order: peft writes sets, in another order each time."""
    if isinstance(node, dict):
        return {name: _sorted(value) for name, value in sorted(node.items())}
    if isinstance(node, list) and all(isinstance(value, str) for value in node):
        return sorted(node)
    return node


def _inputs(form: dict[str, Any], folder: Path, sources: Iterable[str], weights: list[Path]) -> dict[str, str]:
    known = _known_digests()
    digests: dict[str, str] = {}
    for path in weights:
        digests |= _weights_digests(path, folder, known)
    files_of = _named_by_key(form, folder)
    beside = sorted({(folder / name).parent for name in sources} - {folder})
    for path, files in named_files(form, [folder, *beside]).items():
        files_of.setdefault(path, files)
    data = [file for path in _named_by_key(form, folder, ("dataset",)) for file in files_of[path]]
    blocks = blocks_of_each(data)
    sampled = set(data) if blocks else set()
    for path, files in files_of.items():
        if len(files) > MOST_FILES:
            digests[_name(path, folder)] = _listing(files)
            continue
        for file in files:
            digests.setdefault(_name(file, folder), _digest(file, known, blocks if file in sampled else None))
    _remember(known)
    return digests


def _named_by_key(
    config: dict[str, Any], folder: Path, groups: tuple[str, ...] = ("dataset", "model")
) -> dict[Path, list[Path]]:
    """What the keys of the model and of the data name, which are paths wherever something is there."""
    files_of = {}
    nodes = [mapping(config.get(group)) for group in groups]
    # Data sets within the group of the data: the sources of a mixture, and further sets to evaluate on.
    nodes += [mapping(each) for key in ("sources", "eval_sets") for each in mapping(nodes[0].get(key)).values()]
    for node in nodes:
        for key in ("path", "eval_path", "include_path"):
            named = node.get(key)
            for text in named if isinstance(named, list) else [named]:
                for path in paths_at(text, folder) if isinstance(text, str) else []:
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


def _digest(file: Path, known: dict[str, str], blocks: int | None = None) -> str:
    """SHA-256 of a file's content, remembered by path, size and time of change (a model's weights take seconds).

    `blocks`: of a file whose content is not remembered only so many blocks are read.
    """
    try:
        stat = file.stat()
        if stat.st_size < 1 << 20:
            return hashlib.sha256(file.read_bytes()).hexdigest()
        key = f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in known and blocks:
            return digest_of_blocks(file, blocks)
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
