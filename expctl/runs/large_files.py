"""The identity of data that are too large to be read at each start: their sizes, and blocks from all over them.

A command answers in half a second; to read 5 GB takes three seconds, or a minute from a disk. A change that keeps the
size of a file and lies between the blocks is not seen. What the rows were is in `run.json` as a fingerprint either way.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

# Data of more bytes than this are not read whole.
WHOLE = 1 << 30
BLOCK = 1 << 16
# Blocks that are read of all files together; of each two at least, its first and its last.
BLOCKS = 512
MARK = "blocks:"


def blocks_of_each(files: Sequence[Path]) -> int | None:
    """How many blocks of each file make its digest; None where all of the content does."""
    if sum(_size(file) for file in files) <= WHOLE:
        return None
    return max(2, BLOCKS // len(files))


def digest_of_blocks(file: Path, blocks: int) -> str:
    """`blocks:` and a SHA-256 over a file's size and so many blocks, evenly from its beginning to its end.

    Raises:
        OSError: the file cannot be read.
    """
    size = file.stat().st_size
    digest = hashlib.sha256(f"{size}:{blocks}".encode())
    with file.open("rb") as content:
        for index in range(blocks):
            content.seek(max(0, size - BLOCK) * index // (blocks - 1))
            digest.update(content.read(BLOCK))
    return MARK + digest.hexdigest()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
