"""The way in of a process that runs inside: what it is for and its limits are the first line that it reads."""

import errno
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from expctl.rewards.sandbox import lockdown, programs, solution, tests
from expctl.rewards.sandbox.wire import Line

READY = {"ready": True}


def main() -> None:
    """Read the first message, close the doors, and be a `programs`, a `solution`, the `tests` or a `probe`."""
    line = Line(_taken(0, "rb"), _taken(1, "wb"))
    job = line.receive()
    role, limits = job["role"], job["limits"]
    # Packages beside expctl are not for programs.
    sys.path[:] = [path for path in sys.path if path != job["root"]]
    sys.set_int_max_str_digits(0)
    packages = limits["packages"]
    _import(packages)
    if role == "programs":
        # It forks, and each child closes the other doors.
        if limits["protected"] and limits["landlock"]:
            lockdown.close_doors(files=True, calls=False, packages=packages)
        line.send(READY)
        return programs.serve(line, job["program"], limits)
    peer = Line(os.fdopen(job["from"], "rb"), os.fdopen(job["to"], "wb")) if "from" in job else line
    lockdown.limit(limits["seconds"], limits["memory"], job["parent"])
    if role == "probe":
        line.send(READY)
        return line.send({"open": _open_doors(limits, job["file"])})
    if limits["protected"]:
        lockdown.close_doors(files=limits["landlock"], calls=True, packages=packages)
    line.send(READY)
    if role == "solution":
        return solution.serve(peer, job["program"])
    return tests.run(line, peer, job["suite"], [name for name, _ in packages])


def _import(packages: list[list[str]]) -> None:
    """Import packages while their folders can be read; later nothing else of these can."""
    folders = list(dict.fromkeys(folder for _, folder in packages))
    sys.path += folders
    for name, _ in packages:
        importlib.import_module(name)
    sys.path[:] = [path for path in sys.path if path not in folders]


def _taken(descriptor: int, mode: str) -> BinaryIO:
    """A standard stream for messages alone: what the program prints goes nowhere."""
    kept = os.dup(descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)
    file: Any = os.fdopen(kept, mode)
    return file  # type: ignore[no-any-return]


def _open_doors(limits: dict[str, Any], file: str) -> list[str]:
    """What a program could still do here, once the doors are closed; "" of a door that the kernel cannot close."""
    found = []
    for files, calls in ((limits["landlock"], False), (False, True)):
        try:
            lockdown.close_doors(files=files, calls=calls)
        except OSError as error:
            found.append(str(error.strerror))
    doors: dict[str, Callable[[], Any]] = {
        "read files": lambda: os.close(os.open(file, os.O_RDONLY)),
        "write files": lambda: os.close(os.open("/tmp", os.O_TMPFILE | os.O_WRONLY)),
        "start processes": _fork,
        "reach the network": _socket,
        "send signals": lambda: os.kill(os.getppid(), 0),
    }
    for name, attempt in doors.items():
        try:
            attempt()
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.ESRCH, errno.EFBIG, errno.EROFS):
                found.append(f"it can {name} ({error.strerror})")
        else:
            found.append(f"it can {name}")
    return found


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _socket() -> None:
    import socket

    socket.socket().close()
