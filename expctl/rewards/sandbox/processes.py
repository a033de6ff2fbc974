"""Starts processes that run inside, talks with them, and asks what the kernel closes."""

import contextlib
import importlib.util
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from expctl.rewards.sandbox import bubblewrap
from expctl.rewards.sandbox.landlock import version
from expctl.rewards.sandbox.wire import LONGEST_LINE, ClosedError, parsed

ROOT = str(Path(__file__).resolve().parents[3])
ENTRY = f"import sys; sys.path.insert(0, {ROOT!r}); from expctl.rewards.sandbox.inside import main; main()"
# Nothing of the environment of the training, which may hold keys.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
START = 10.0  # seconds until an interpreter runs, on a busy machine
CHUNK = 1 << 16


class TimeOverError(Exception):
    """A process has not answered in time."""


class SandboxError(RuntimeError):
    """A process has not come to where it could have run a program."""


@dataclass(frozen=True)
class Limits:
    """What a program may take.

    Args:
        seconds: of processor time, for one test.
        wall: seconds of a clock, for one test.
        memory: bytes of address space.
        output: bytes that it may print.
        protected: False leaves out everything but time, memory and output.
        landlock: whether the kernel closes files by Landlock.
        packages: name of each installed package that a program may import, and the folder that it lies in.
        root: the words before the command that start it in a root folder of its own (bubblewrap).
    """

    seconds: int
    wall: float
    memory: int
    output: int
    protected: bool = True
    landlock: bool = True
    packages: tuple[tuple[str, str], ...] = ()
    root: tuple[str, ...] = ()


def limits(seconds: int, memory_mib: int, *, protected: bool = True, imports: Sequence[str] = ()) -> Limits:
    """The limits of a program that has `seconds` of processor time for a test; by a clock it has thrice that.

    Raises:
        ValueError: a package of `imports` is not installed here.
    """
    packages = tuple((name, _folder_of(name)) for name in imports)
    landlock = version() > 0
    root = bubblewrap.command(packages) if protected and not landlock else ()
    return Limits(seconds, 3.0 * seconds + 2.0, memory_mib << 20, 4 << 20, protected, landlock, packages, root)


def _folder_of(package: str) -> str:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError(f"a program may import packages that are installed here, and '{package}' is none")
    return str(Path(next(iter(spec.submodule_search_locations))).parent)


class Process:
    """A process inside: a message out, a message in, each with a deadline. It is killed when it is left."""

    def __init__(self, role: str, limit: Limits, pass_fds: tuple[int, ...] = (), **job: Any) -> None:
        self._buffer = bytearray()
        self._process = subprocess.Popen(
            [*limit.root, bubblewrap.interpreter(), "-s", "-P", "-S", "-B", "-c", ENTRY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=pass_fds,
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # both are pipes
        self._into, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._into, False)
        parent = None if limit.root else os.getpid()  # bubblewrap ends it with its parent, whose id is not seen inside
        self.send({"role": role, "limits": asdict(limit), "root": ROOT, "parent": parent} | job, START)

    def __enter__(self) -> Self:
        """Wait until the doors are closed and the program may begin. Raise SandboxError where that fails."""
        try:
            self.receive(START)
        except (TimeOverError, ClosedError) as error:
            self.__exit__(None, None, None)
            raise SandboxError(f"a process of the sandbox has not started ({type(error).__name__})") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        # What it has not read is written when a pipe is closed, to nobody.
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def send(self, message: dict[str, Any], seconds: float) -> None:
        """Send a message.

        Raises:
            TimeOverError: it does not read.
            ClosedError: it has ended.
        """
        deadline = time.monotonic() + seconds
        left = memoryview(json.dumps(message).encode() + b"\n")
        while left:
            _, ready, _ = select.select([], [self._into], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeOverError
            try:
                left = left[os.write(self._into, left[:CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ClosedError(str(error)) from error

    def receive(self, seconds: float) -> dict[str, Any]:
        """Wait for a message.

        Raises:
            TimeOverError: none comes in time.
            ClosedError: it has ended, or says what is no message.
        """
        deadline = time.monotonic() + seconds
        while (end := self._buffer.find(b"\n", max(0, len(self._buffer) - CHUNK))) < 0:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeOverError
            read = os.read(self._from, CHUNK)
            if not read or len(self._buffer) > LONGEST_LINE:
                raise ClosedError("ended")
            self._buffer += read
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return parsed(line)


@contextlib.contextmanager
def tests_and_solution(limit: Limits, program: str, suite: dict[str, Any]) -> Iterator[Process]:
    """The process of some tests, joined by two pipes to that of the solution, which no other process can talk to."""
    (reads, asks), (hears, answers) = os.pipe(), os.pipe()
    opened = [reads, asks, hears, answers]
    try:
        with (
            Process("tests", limit, (hears, asks), suite=suite, **{"from": hears, "to": asks}) as tests,
            Process("solution", limit, (reads, answers), program=program, **{"from": reads, "to": answers}),
        ):
            _close(opened)
            yield tests
    finally:
        _close(opened)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def open_doors(limit: Limits) -> list[str]:
    """What a program could do inside that it must not, found by trying; empty where it can do nothing of it."""
    try:
        with tempfile.NamedTemporaryFile() as mine, Process("probe", limit, file=mine.name) as process:
            found = process.receive(START)["open"]
    except (SandboxError, TimeOverError, ClosedError) as error:
        return [f"it cannot be tried ({type(error).__name__}: {error})"]
    return [str(door) for door in found]
