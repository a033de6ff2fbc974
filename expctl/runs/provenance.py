"""Under which circumstances a run was made: code, versions, machine. Asked without importing any of it."""

import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("expctl", "trl", "transformers", "torch", "accelerate", "datasets", "peft", "hydra-core", "omegaconf")
# Another version of one of these may give other numbers.
DECISIVE = ("expctl", "trl", "transformers", "torch")


def versions() -> dict[str, str | None]:
    """Installed version of each package that can matter (None: not installed), and of Python."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def git(folder: Path) -> dict[str, Any]:
    """Commit of the user's repository and whether files differ from it; both None outside of one."""
    sha = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"sha": sha, "dirty": None if sha is None or changed is None else bool(changed)}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def host() -> str:
    return socket.gethostname()


def drift(recorded: dict[str, str | None]) -> list[str]:
    """`package was -> is`, for each decisive package whose version is no longer the recorded one."""
    now = versions()
    return [
        f"{name} {recorded[name]} -> {now[name]}"
        for name in DECISIVE
        if name in recorded and recorded[name] != now[name]
    ]
