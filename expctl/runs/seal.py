"""The seal of a run: says on every node of a cluster that this user's expctl wrote what a resume or a rerun executes.

An HMAC-SHA256 by a key of the user's, which is made once and lies in the home folder. Sealed are the files and the keys
of the manifest from which an experiment is rebuilt, when the run is described; nothing later changes them.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from expctl.base.plain_data import mapping
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.reading import open_plain, read_bytes

KEY_BYTES = 32
FORMAT = 1
# What `expctl.runs.bundle.rebuild` takes from the manifest, and what the code and data are compared with.
SEALED_KEYS = ("command", "overrides", "choices", "folder", "config_hash", "rerun_of", "sources", "inputs", "masked")
# Folders in which wandb looks for settings, the server that a key is sent to among them; expctl writes none.
WANDB_FOLDERS = ("wandb", ".wandb")


def key_file() -> Path:
    """`expctl/seal.key` in the user's folder of settings (`$XDG_CONFIG_HOME`, else `~/.config`)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "expctl" / "seal.key"


def seal_run(run: Run) -> bool:
    """Seal a described run; False where this user has no usable key, or the folder cannot be written."""
    try:
        text = _text(_content(run))
        write_json(run.seal, {"sealed": text, "hmac": sign(text.encode(), make=True)})
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            run.seal.unlink(missing_ok=True)
        return False
    return True


def broken(run: Run) -> str | None:
    """Why a run does not count as made here by this user's expctl, a sentence without a full stop; None if it does."""
    seal = mapping(read_json(run.seal))
    try:
        if run.folder.stat().st_uid != os.getuid():
            return "its folder belongs to another user"
        if not isinstance(seal.get("sealed"), str) or not isinstance(seal.get("hmac"), str):
            return "it has no seal: it comes from elsewhere, or from before runs were sealed"
        if not hmac.compare_digest(sign(seal["sealed"].encode()), seal["hmac"]):
            return f"its seal is not that of your key {key_file()}"
        return _difference(json.loads(seal["sealed"]), json.loads(_text(_content(run))))
    except (OSError, ValueError, TypeError) as error:
        return f"its seal cannot be checked: {error}"


def sign(content: bytes, *, make: bool = False) -> str:
    """The HMAC of a content by this user's key, in hexadecimal digits. `make`: make the key where there is none yet.

    Raises:
        OSError: there is no key, or it cannot be read or made.
        ValueError: the key is not this user's alone.
    """
    return hmac.new(_key(make), content, hashlib.sha256).hexdigest()


def _content(run: Run) -> dict[str, Any]:
    settings = [run.folder / name / "settings" for name in WANDB_FOLDERS]
    files = [file for file in (run.config, run.overrides, run.origins, *settings) if file.exists()]
    if run.sources.is_symlink():
        raise ValueError(f"{run.sources} is a link")
    files += [file for file in sorted(run.sources.rglob("*")) if file.is_symlink() or not file.is_dir()]
    manifest = mapping(read_json(run.manifest))
    return {
        "format": FORMAT,
        "files": {file.relative_to(run.folder).as_posix(): _digest(file) for file in files},
        "manifest": {key: manifest.get(key) for key in SEALED_KEYS},
    }


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)


def _digest(file: Path) -> str:
    """SHA-256 of a regular file. Raises ValueError for anything else: no link may lead to other code later."""
    if file.is_symlink():
        raise ValueError(f"{file} is a link")
    with open_plain(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str | None:
    if was == now:
        return None
    before, after = was["files"], now["files"]
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    names = ", ".join(changed[:4]) or "run.json"
    return f"since it was sealed this has changed: its {names}"


def _key(make: bool) -> bytes:
    file = key_file()
    if make and not file.exists():
        _make(file)
    status = os.lstat(file)
    private = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
    if not stat.S_ISREG(status.st_mode) or not private:
        raise ValueError(f"{file} is not a file that only you can read (chmod 600)")
    key = bytes.fromhex(read_bytes(file, 1024).decode("ascii").strip())
    if len(key) != KEY_BYTES:
        raise ValueError(f"{file} holds no key")
    return key


def _make(file: Path) -> None:
    """Written aside and linked: of several commands that make one at the same moment the first has its key kept."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_hex(KEY_BYTES) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, file)
    finally:
        aside.unlink(missing_ok=True)
