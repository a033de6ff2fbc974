"""Where runs have been made, remembered between commands: one small file in the cache for each outputs folder."""

import contextlib
import hashlib
import os
from pathlib import Path

from expctl.base.paths import cache_root
from expctl.runs.files import write_whole

MOST = 100


def remember(outputs: Path) -> None:
    """Remember an outputs folder; a home that cannot be written only costs the looking up by name from elsewhere."""
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
    """The remembered outputs folders that are there, the latest first."""
    found = []
    for file in _files():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            folder = Path(file.read_text(encoding="utf-8").removesuffix("\n"))
            if folder.is_dir():
                found.append(folder)
    return found


def _files() -> list[Path]:
    with contextlib.suppress(OSError):
        timed = [(file.stat().st_mtime_ns, file) for file in _folder().iterdir() if not file.name.startswith(".")]
        return [file for _, file in sorted(timed, reverse=True)]
    return []


def _folder() -> Path:
    return cache_root() / "outputs"
