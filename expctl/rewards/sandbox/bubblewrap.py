"""A root folder with nothing but libraries (bubblewrap), for kernels without Landlock that let a user make one."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from expctl.rewards.sandbox.landlock import PACKAGES, package_folders, readable

CODE = Path(__file__).resolve().parents[2]  # of expctl, which the process imports
LOADER = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
SECONDS = 10.0


def command(packages: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The words before a command that starts it in such a root; () where there is none.

    Args:
        packages: name and folder of the installed packages that can be read as well.
    """
    program = shutil.which("bwrap")
    if program is None:
        return ()
    words = (program, "--die-with-parent", "--dev", "/dev", "--chdir", "/", *_bound(packages))
    return words if _works(words) else ()


def _bound(packages: Sequence[Sequence[str]]) -> list[str]:
    """The libraries. The standard one is one mount, with nothing where installed packages are: many mounts are slow."""
    standard = os.path.dirname(os.__file__)
    libraries = [path for path in readable() if not path.startswith((f"{standard}/", "/dev/"))]
    words = _read_only([standard, *libraries, interpreter(), *LOADER])
    emptied = [path for path in (os.path.join(standard, name) for name in PACKAGES) if os.path.isdir(path)]
    for path in emptied:
        words += ["--tmpfs", path]
    words += _read_only([str(CODE), *package_folders(packages)])
    # The folders that lead to the libraries are bubblewrap's own, in memory, and could be written.
    for path in (*emptied, "/dev", "/"):
        words += ["--remount-ro", path]
    return words


def _read_only(paths: list[str]) -> list[str]:
    return [word for path in dict.fromkeys(paths) for word in ("--ro-bind-try", path, path)]


@functools.cache
def _works(words: tuple[str, ...]) -> bool:
    """Whether the kernel and the machine's rules let this user make such a root."""
    try:
        done = subprocess.run([*words, interpreter(), "-S", "-c", ""], capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def interpreter() -> str:
    """The Python that a process of the sandbox is, without the links of an environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))
