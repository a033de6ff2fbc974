"""The user's git repository when a run is created: the commit, and a patch of the uncommitted changes."""

import os
import subprocess
import threading
from pathlib import Path

from expctl.base.masking import masked_bytes
from expctl.runs.provenance_records import Git

SECONDS = 10.0
MOST_BYTES = 10_000_000
MOST_NAMES = 200
# Whatever the user's own settings are, a patch that `git apply` takes.
DIFF = (
    *("diff", "HEAD", "--binary", "-U3", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
)


def snapshot(folder: Path, outputs: Path) -> tuple[Git, bytes]:
    """What the manifest says of the repository around `folder`, and the patch of its uncommitted changes.

    `outputs`: where runs lie; they are no code of the user's. Outside of a repository `sha` and `dirty` are None. A git
    that is slow, or a patch that is too large, is said in `patch` instead of the file's name and fails nothing.
    """
    head = _git(folder, "rev-parse", "HEAD", "--show-toplevel")
    if not head:
        return Git(), b""
    sha, top = head.decode(errors="replace").splitlines()[:2]
    git = Git(sha=sha)
    patch = _git(folder, *DIFF)
    if patch is None:
        git.patch = f"left out: git gave none within {SECONDS:.0f} s"
        return git, b""
    names = _untracked(Path(top), outputs)
    git.untracked, git.untracked_left_out = names[:MOST_NAMES], max(0, len(names) - MOST_NAMES)
    git.dirty = bool(patch)
    if len(patch) > MOST_BYTES:
        git.patch = f"left out: it has more than {MOST_BYTES // 1_000_000} MB"
        return git, b""
    kept = masked_bytes(patch)
    git.masked = kept != patch
    return git, kept


def _untracked(top: Path, outputs: Path) -> list[str]:
    """Names of files that git does not know and was not told to ignore; a patch does not hold them."""
    words = ["ls-files", "--others", "--exclude-standard", "-z", "--", "."]
    if outputs.resolve().is_relative_to(top.resolve()) and outputs.resolve() != top.resolve():
        words.append(f":(exclude,literal){outputs.resolve().relative_to(top.resolve()).as_posix()}")
    listed = _git(top, *words) or b""
    return [name.decode(errors="replace") for name in listed.split(b"\0") if name]


def _git(folder: Path, *words: str) -> bytes | None:
    """What git prints, cut a little beyond what is kept of a patch; None when it fails or takes too long."""
    try:
        process = subprocess.Popen(
            ["git", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError:
        return None
    patience = threading.Timer(SECONDS, process.kill)
    patience.start()
    with process:
        assert process.stdout is not None  # it is a pipe
        printed = process.stdout.read(MOST_BYTES + 1)
        cut = len(printed) > MOST_BYTES
        if cut:
            process.kill()
    patience.cancel()
    return printed if cut or process.returncode == 0 else None
