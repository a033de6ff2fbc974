"""A filter of system calls (seccomp), made for this process and irrevocable: see `syscalls`."""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from expctl.rewards.sandbox.syscalls import ALLOWED, ARCHITECTURES, BY_ARGUMENT, numbers

SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
# Offsets in the kernel's struct seccomp_data, both machines being little-endian.
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
CLONE_THREAD = 0x00010000
X32 = 0x40000000
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC: not F_SETOWN, which makes the kernel send signals.
FCNTL = (0, 1, 2, 3, 1030)

Instruction = tuple[int, int, int, int]


def filter_calls() -> None:
    """Let this process, with all its threads to come, make no other calls than those of `syscalls`.

    Raises:
        OSError: the kernel has no such filters, or the machine is not known.
    """
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    program = assembled(machine, os.getpid())
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    # struct sock_fprog: a count, and a pointer behind padding.
    described = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    call_kernel("prctl", SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call_kernel("prctl", SET_SECCOMP, FILTER, ctypes.create_string_buffer(described), 0, 0)


def call_kernel(function: str, *arguments: object) -> int:
    """The result of a function of the C library. Raise OSError where it is negative."""
    library = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(getattr(library, function)(*words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def assembled(machine: str, pid: int) -> list[Instruction]:
    """The filter's program, in the kernel's BPF, for a process.

    Threads may be made and not processes; signals go to the process itself; limits can be asked for, and setting them
    seems to succeed, since many programs raise that of the stack. `clone3` is denied as if it did not exist: the C
    library falls back to `clone`, whose arguments a filter can read.
    """
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, ERROR | errno.EPERM),
    ]
    special = numbers(BY_ARGUMENT, machine)
    rules = {
        "clone": [(LOAD, 0, 0, ARGUMENTS), (ANY_BIT, 0, 1, CLONE_THREAD), (RETURN, 0, 0, ALLOW)],
        "clone3": [(RETURN, 0, 0, ERROR | errno.ENOSYS)],
        "kill": _if_argument(0, [pid]),
        "tgkill": _if_argument(0, [pid]),
        "fcntl": _if_argument(1, FCNTL),
        "setrlimit": [(RETURN, 0, 0, ERROR)],
        "prlimit64": _if_only_asked(),
    }
    for name, rule in rules.items():
        body = [*rule, (RETURN, 0, 0, ERROR | errno.EPERM)]
        program += [(EQUAL, 0, len(body), special[name]), *body]
    for number in numbers(ALLOWED, machine).values():
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    return [*program, (RETURN, 0, 0, ERROR | errno.EPERM)]


def _if_argument(position: int, values: Iterable[int]) -> list[Instruction]:
    """Allow a call whose argument is one of some values."""
    rule: list[Instruction] = [(LOAD, 0, 0, ARGUMENTS + 8 * position)]
    for value in values:
        rule += [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
    return rule


def _if_only_asked() -> list[Instruction]:
    """prlimit64(pid, resource, new, old): of this process alone; with `new` it does nothing and seems to succeed."""
    return [
        (LOAD, 0, 0, ARGUMENTS),
        (EQUAL, 1, 0, 0),
        (RETURN, 0, 0, ERROR | errno.EPERM),
        (LOAD, 0, 0, ARGUMENTS + 16),
        (EQUAL, 1, 0, 0),
        (RETURN, 0, 0, ERROR),
        (LOAD, 0, 0, ARGUMENTS + 20),
        (EQUAL, 1, 0, 0),
        (RETURN, 0, 0, ERROR),
        (RETURN, 0, 0, ALLOW),
    ]
