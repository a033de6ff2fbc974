"""The `config.json` of a model, wherever it is: its weights need not be there."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl import models
from expctl.base import hub
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.models.locations import EMBEDDED_PREFIX

FAMILIES = Path(__file__).with_name("families.json")
# What follows the size in a name and leaves the shape as it is.
_VARIANT = re.compile(r"(-(base|instruct|it|chat|thinking|\d{4}))+$")


@dataclass(frozen=True)
class ModelConfig:
    """A model's `config.json` as a mapping, and its tokenizer where it has one here."""

    values: dict[str, Any]
    tokenizer: Path | None
    # Where the config was found, in words.
    found: str


def model_config(path: str, revision: str = "main", where: str = "model.path") -> ModelConfig:
    """Find the `config.json` of a model: in a folder, in the hub's cache, or among the known families.

    Raises:
        Refusal: there is none.
    """
    for folder in _folders(path, revision):
        if (folder / "config.json").is_file():
            return _of_folder(folder, where)
    known = json.loads(FAMILIES.read_text(encoding="utf-8"))
    name = family_name(path)
    if name in known:
        return ModelConfig(known[name], None, f"the shape of {name} is known")
    raise Refusal(
        f"nothing is known of the shape of {path}: it has no config.json here, and is none of the known families",
        where=where,
        nearest=nearest(name, known),
        do=f"model.path=<a folder with its config.json>, or download that file: hf download {path} config.json",
    )


def family_name(path: str) -> str:
    """`Qwen/Qwen3-0.6B-Base` and `~/models/qwen3_0_6b` -> `qwen3-0.6b`."""
    name = Path(path).name.lower().replace("_", "-")
    name = re.sub(r"-(\d+)-(\d+b)(?=-|$)", r"-\1.\2", name)
    return _VARIANT.sub("", name.removeprefix("meta-"))


def _folders(path: str, revision: str) -> list[Path]:
    if path.startswith(EMBEDDED_PREFIX):
        return [Path(models.resolve(path).source)]
    folder = Path(path).expanduser()
    adapter = folder / "adapter_config.json"
    if adapter.is_file() and not (folder / "config.json").is_file():
        base = str(mapping(json.loads(adapter.read_text(encoding="utf-8"))).get("base_model_name_or_path"))
        return _folders(base, "main") if base != path else []
    snapshot = hub.cached_snapshot(path, revision=revision)
    return [folder, *([snapshot] if snapshot else [])]


def _of_folder(folder: Path, where: str) -> ModelConfig:
    file = folder / "config.json"
    try:
        values = mapping(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise Refusal(
            f"{file} is no JSON: {error}", where=where, do="save the model again, or copy the file"
        ) from error
    tokenizer = folder / "tokenizer.json"
    return ModelConfig(values, tokenizer if tokenizer.is_file() else None, str(file))
