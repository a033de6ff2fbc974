"""The files of a model folder, without reading weights: pointers in their place, files cut off, no tokenizer."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expctl.base.plain_data import mapping

LFS_POINTER = b"version https://git-lfs"
LENGTH = 8  # bytes of a safetensors file that tell how long its header is
LARGEST_HEADER = 100_000_000  # bytes, the limit of safetensors itself
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")


def config_of(folder: Path) -> dict[str, Any]:
    """The `config.json` of a model folder; empty where there is none that can be read."""
    try:
        return mapping(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def check_files(folder: Path) -> None:
    """Look at the first bytes and the sizes of the weights, and for a tokenizer.

    Raises:
        ValueError: a Git LFS pointer in place of weights, a safetensors file that is cut off, or no tokenizer.
    """
    for file in _weights(folder):
        _check_weights(file)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ValueError(
            f"model.path={folder} holds no tokenizer ({', '.join(TOKENIZERS[:3])}, ...). "
            "Copy the one of its base model into the folder: AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )


def _weights(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("model*.safetensors"))
    yield from sorted(folder.glob("pytorch_model*.bin"))


def _check_weights(file: Path) -> None:
    size = file.stat().st_size
    with file.open("rb") as opened:
        beginning = opened.read(len(LFS_POINTER))
        if beginning == LFS_POINTER:
            raise ValueError(
                f"{file} is a Git LFS pointer of {size} bytes, not the weights. "
                f"Fetch them: git lfs pull in {file.parent}, or hf download."
            )
        if file.suffix != ".safetensors":
            return
        length = int.from_bytes(beginning[:LENGTH], "little")
        opened.seek(LENGTH)
        header = opened.read(length) if length <= min(size - LENGTH, LARGEST_HEADER) else b""
    needed = LENGTH + length + _data_bytes(header)
    if needed > size:
        raise ValueError(f"{file} is no whole safetensors file ({size} bytes). Copy or save it again.")


def _data_bytes(header: bytes) -> float:
    """Bytes of all tensors that a header lists; infinite where it is no header."""
    try:
        tensors = json.loads(header)
        return max((entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError):
        return math.inf
