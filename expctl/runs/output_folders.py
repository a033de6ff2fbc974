"""The known outputs folders: one small file in the cache for each folder in which runs were made."""

import contextlib
import hashlib
import os
from pathlib import Path

from expctl.base.paths import cache_root
from expctl.runs.files import write_whole

MOST = 100


def remember(outputs: Path) -> None:
    """Add an outputs folder. Where the cache cannot be written, runs are only found by name from their own folder."""
    outputs = outputs.resolve()
    file = _folder() / hashlib.sha256(os.fsencode(outputs)).hexdigest()[:16]
    with contextlib.suppress(OSError):
        if file.exists():
            file.touch()
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, f"{outputs}\n")
        for old in _files()[MOST:]:
            old.unlink()


def outputs_folders() -> list[Path]:
    """The known outputs folders that still exist, the latest first."""
    folders = []
    for file in _files():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            folder = Path(file.read_text(encoding="utf-8").removesuffix("\n"))
            if folder.is_dir():
                folders.append(folder)
    return folders


def _files() -> list[Path]:
    with contextlib.suppress(OSError):
        timed = [(file.stat().st_mtime_ns, file) for file in _folder().iterdir() if not file.name.startswith(".")]
        return [file for _, file in sorted(timed, reverse=True)]
    return []


def _folder() -> Path:
    return cache_root() / "outputs"
