"""The user's git repository as it is when a run begins: commit, and a patch of what is not committed."""

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from expctl.base.masking import masked_bytes

SECONDS = 10.0
MOST_BYTES = 10_000_000
MOST_NAMES = 200
# Whatever the user's own settings are, a patch that `git apply` takes.
DIFF = (
    "diff", "HEAD", "--binary", "-U3", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative",
    "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short",
)  # fmt: skip


def snapshot(folder: Path, outputs: Path) -> tuple[dict[str, Any], bytes]:
    """What the manifest says of the repository around `folder`, and the patch of its uncommitted changes.

    `outputs`: where runs lie; they are no code of the user's. Outside of a repository `sha` and `dirty` are None. A git
    that is slow, or a patch that is too large, is said in `patch` instead of the file's name and fails nothing.
    """
    found = _git(folder, "rev-parse", "HEAD", "--show-toplevel")
    if not found:
        return {"sha": None, "dirty": None}, b""
    sha, top = found.decode(errors="replace").splitlines()[:2]
    told: dict[str, Any] = {"sha": sha, "dirty": None, "patch": None}
    patch = _git(folder, *DIFF)
    if patch is None:
        return told | {"patch": f"left out: git gave none within {SECONDS:.0f} s"}, b""
    if len(patch) > MOST_BYTES:
        told |= {"dirty": True, "patch": f"left out: it has more than {MOST_BYTES // 1_000_000} MB"}
    else:
        told["dirty"] = bool(patch)
    kept = masked_bytes(patch) if told["patch"] is None else b""
    if kept and kept != patch:
        told["masked"] = True
    return told | _untracked(Path(top), outputs), kept


def _untracked(top: Path, outputs: Path) -> dict[str, Any]:
    """Names of files that git does not know and was not told to ignore; a patch does not hold them."""
    words = ["ls-files", "--others", "--exclude-standard", "-z", "--", "."]
    if outputs.resolve().is_relative_to(top.resolve()) and outputs.resolve() != top.resolve():
        words.append(f":(exclude,literal){outputs.resolve().relative_to(top.resolve()).as_posix()}")
    names = [name.decode(errors="replace") for name in (_git(top, *words) or b"").split(b"\0") if name]
    left_out = {"untracked_left_out": len(names) - MOST_NAMES} if len(names) > MOST_NAMES else {}
    return {"untracked": names[:MOST_NAMES]} | left_out


def _git(folder: Path, *words: str) -> bytes | None:
    """What git prints, cut a little beyond what is kept of a patch; None when it fails or takes too long."""
    try:
        process = subprocess.Popen(
            ["git", *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except OSError:
        return None
    patience = threading.Timer(SECONDS, process.kill)
    patience.start()
    with process:
        printed = process.stdout.read(MOST_BYTES + 1)
        cut = len(printed) > MOST_BYTES
        if cut:
            process.kill()
    patience.cancel()
    return printed if cut or process.returncode == 0 else None
