"""The checkpoints of a run that one can carry on from: sealed when written, checked before use."""

import re
from pathlib import Path

import xxhash

from expctl.runs.files import read_json, write_json
from expctl.runs.tell import tell

SEAL = "complete.json"
# Where a checkpoint is while it is being written.
ASIDE = ".writing"
# Larger ones are slower: what was read falls out of the processor's cache before it is summed.
CHUNK = 1 << 20


def step_of(checkpoint: Path) -> int:
    """The optimizer step of `checkpoint-N`."""
    return int(checkpoint.name.rpartition("-")[2])


def seal(checkpoint: Path) -> None:
    """Write down size and checksum of every file; a checkpoint with this list was written to its end."""
    files = {str(file.relative_to(checkpoint)): [file.stat().st_size, _checksum(file)] for file in _files(checkpoint)}
    write_json(checkpoint / SEAL, files)


def found(folder: Path) -> list[Path]:
    """The checkpoints of a folder, sealed or not, in no order."""
    return [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]


def complete(folder: Path) -> list[Path]:
    """The sealed checkpoints of a folder, in no order."""
    return [path for path in found(folder) if (path / SEAL).is_file()]


def last_complete(folder: Path) -> Path | None:
    """The latest checkpoint whose files are what was written; a damaged one is passed over with a warning."""
    for checkpoint in sorted(complete(folder), key=step_of, reverse=True):
        wrong = damage(checkpoint)
        if wrong is None:
            return checkpoint
        tell(f"{checkpoint} is damaged ({wrong}): going back to the one before")
    return None


def damage(checkpoint: Path) -> str | None:
    """The first file that is not what was sealed, and how; None when all are."""
    sealed = read_json(checkpoint / SEAL)
    if not isinstance(sealed, dict):
        return f"{SEAL} cannot be read"
    for name, (size, checksum) in sealed.items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes of {size}"
        if _checksum(file) != checksum:
            return f"{name} has other content"
    return None


def _files(checkpoint: Path) -> list[Path]:
    return sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != SEAL)


def _checksum(file: Path) -> str:
    """XXH3 of the content, 64 bits: enough against truncation and bit rot, at the speed of reading."""
    found, chunk = xxhash.xxh3_64(), memoryview(bytearray(CHUNK))
    with file.open("rb", buffering=0) as opened:
        while size := opened.readinto(chunk):
            found.update(chunk[:size])
    return found.hexdigest()
