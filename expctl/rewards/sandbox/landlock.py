"""A list of the files that this process may read (Landlock, Linux 5.13); it may write none."""

import ctypes
import os
import struct
import sys
from collections.abc import Sequence

from expctl.rewards.sandbox.seccomp import SET_NO_NEW_PRIVS, call_kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same number on every machine
ASK_VERSION, PATH_BENEATH = 1, 1
WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
# Rights that the first version handles; version -> one that came with it: to link across folders, truncate, ioctl.
FIRST_RIGHTS, LATER_RIGHTS = (1 << 13) - 1, {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
PACKAGES = ("site-packages", "dist-packages")


def version() -> int:
    """The version of Landlock that the kernel has; 0 where it has none."""
    try:
        return call_kernel("syscall", CREATE_RULESET, None, 0, ASK_VERSION)
    except OSError:
        return 0


def only_read_libraries(packages: Sequence[Sequence[str]] = ()) -> None:
    """Let this process, and all that it starts, open no file but those of `readable` and of packages.

    Args:
        packages: name and folder of each.

    Raises:
        OSError: the kernel has no Landlock.
    """
    handled = FIRST_RIGHTS
    for since, right in LATER_RIGHTS.items():
        if version() >= since:
            handled |= right
    rules = ctypes.create_string_buffer(struct.pack("Q", handled), 8)
    ruleset = call_kernel("syscall", CREATE_RULESET, rules, 8, 0)
    for path in (*readable(), *package_folders(packages)):
        _allow(ruleset, path)
    call_kernel("prctl", SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call_kernel("syscall", RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def readable() -> list[str]:
    """What a program may read: the standard library without installed packages, shared libraries, some devices."""
    standard, beside = os.path.dirname(os.__file__), os.path.join(sys.base_prefix, "lib")
    paths = [os.path.join(standard, name) for name in os.listdir(standard) if name not in PACKAGES]
    if os.path.isdir(beside):
        paths += [os.path.join(beside, name) for name in os.listdir(beside) if ".so" in name]
    return [path for path in (*paths, *LIBRARIES, *DEVICES) if os.path.exists(path)]


def package_folders(packages: Sequence[Sequence[str]]) -> list[str]:
    """The folders of packages, each given by name and the folder that it lies in, and of the libraries beside them."""
    folders = [os.path.join(folder, name + end) for name, folder in packages for end in ("", ".libs")]
    return [folder for folder in folders if os.path.isdir(folder)]


def _allow(ruleset: int, path: str) -> None:
    rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
    if path == "/dev/null":
        rights |= WRITE_FILE
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        # struct landlock_path_beneath_attr is packed.
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, opened), 12)
        call_kernel("syscall", ADD_RULE, ruleset, PATH_BENEATH, rule, 0)
    finally:
        os.close(opened)
