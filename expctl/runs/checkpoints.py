"""The checkpoints of a run: their checksums written last, and checked before a run is resumed from one.

All is read as plain tensors (`weights_only`), but for what DeepSpeed writes: it unpickles whatever is there. So such a
checkpoint is signed with the user's key as well, and another's is not used.
"""

import hashlib
import hmac
import json
import re
from pathlib import Path

import xxhash

from expctl.base.notice import notice
from expctl.base.plain_data import mapping
from expctl.runs.files import read_json, write_json
from expctl.runs.seal import key_file, sign

CHECKSUMS, SIGNATURE = "complete.json", "signature.json"
# The folders of DeepSpeed in a checkpoint.
PICKLED = "global_step*"
# Where a checkpoint is while it is being written.
ASIDE = ".writing"
# Larger ones are slower: what was read falls out of the processor's cache before it is summed.
CHUNK = 1 << 20


class ForeignCheckpointError(Exception):
    """A checkpoint that would be unpickled and is not this user's own."""

    def __init__(self, checkpoint: Path):
        super().__init__(
            f"{checkpoint} is not signed with your key ({key_file()}), and DeepSpeed executes what lies in it"
        )


def step_of(checkpoint: Path) -> int:
    """The optimizer step of `checkpoint-N`."""
    return int(checkpoint.name.rpartition("-")[2])


def write_checksums(checkpoint: Path) -> None:
    """Write down size and checksum of every file; a checkpoint with this list was written to its end."""
    if _is_pickled(checkpoint):
        _sign(checkpoint)
    files = {str(file.relative_to(checkpoint)): [file.stat().st_size, _checksum(file)] for file in _files(checkpoint)}
    write_json(checkpoint / CHECKSUMS, files)


def found(folder: Path) -> list[Path]:
    """The checkpoints of a folder, complete or not, in no order."""
    return [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]


def complete(folder: Path) -> list[Path]:
    """The checkpoints of a folder that were written to their ends, in no order."""
    return [path for path in found(folder) if (path / CHECKSUMS).is_file()]


def last_complete(folder: Path) -> Path | None:
    """The latest checkpoint whose files are as they were written; damaged ones are skipped with a notice."""
    for checkpoint in sorted(complete(folder), key=step_of, reverse=True):
        wrong = damage(checkpoint)
        if wrong is None:
            return checkpoint
        notice(f"{checkpoint} is damaged ({wrong}): going back to the one before")
    return None


def damage(checkpoint: Path) -> str | None:
    """The first file that differs from its checksum, and how; None where all agree."""
    recorded = read_json(checkpoint / CHECKSUMS)
    if not isinstance(recorded, dict) or not all(isinstance(row, list) and len(row) == 2 for row in recorded.values()):
        return f"{CHECKSUMS} cannot be read"
    for name, (size, checksum) in recorded.items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes of {size}"
        if _checksum(file) != checksum:
            return f"{name} has other content"
    return None


def refuse_foreign(checkpoint: Path) -> None:
    """Raises ForeignCheckpointError where a checkpoint would be unpickled and is not this user's own."""
    if _is_pickled(checkpoint) and not _is_own(checkpoint):
        raise ForeignCheckpointError(checkpoint)


def trust(folder: Path) -> None:
    """Make the complete checkpoints of a folder this user's own.

    Raises:
        OSError, ValueError: one cannot be written, or there is no key.
    """
    for checkpoint in complete(folder):
        if _is_pickled(checkpoint) and not _is_own(checkpoint) and damage(checkpoint) is None:
            write_checksums(checkpoint)


def _is_pickled(checkpoint: Path) -> bool:
    return next(checkpoint.glob(PICKLED), None) is not None


def _sign(checkpoint: Path) -> None:
    """Sign the files by the user's key; without a key the checkpoint has no signature, and needs --trust."""
    (checkpoint / SIGNATURE).unlink(missing_ok=True)
    text = _digests(checkpoint)
    try:
        signature = sign(text.encode(), make=True)
    except (OSError, ValueError) as error:
        notice(f"{checkpoint} is not signed: {error}")
        return
    write_json(checkpoint / SIGNATURE, {"files": text, "hmac": signature})


def _is_own(checkpoint: Path) -> bool:
    signature = mapping(read_json(checkpoint / SIGNATURE))
    try:
        right = hmac.compare_digest(sign(signature["files"].encode()), signature["hmac"])
        return right and signature["files"] == _digests(checkpoint)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _digests(checkpoint: Path) -> str:
    """SHA-256 of every file but these two. Raises ValueError for a link, which may lead to other content later."""
    digests = {}
    for file in sorted(checkpoint.rglob("*")):
        if file.is_symlink():
            raise ValueError(f"{file} is a link")
        if file.is_file() and file.name not in (CHECKSUMS, SIGNATURE):
            with file.open("rb") as opened:
                digests[file.relative_to(checkpoint).as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
    return json.dumps(digests)


def _files(checkpoint: Path) -> list[Path]:
    return sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != CHECKSUMS)


def _checksum(file: Path) -> str:
    """XXH3 of the content, 64 bits: enough against truncation and bit rot, at the speed of reading."""
    checksum, chunk = xxhash.xxh3_64(), memoryview(bytearray(CHUNK))
    with file.open("rb", buffering=0) as opened:
        while size := opened.readinto(chunk):
            checksum.update(chunk[:size])
    return str(checksum.hexdigest())
