"""A child process that never outlives its parent, and the signals that the parent hands on to it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from expctl.base.parent_death import exit_with_parent
from expctl.runs import ranks
from expctl.runs.files import Run

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Signals:
    """While it is entered, a signal to this process calls `heard`: with its name, and whether it was not the first.

    Whatever the parent receives (Ctrl-C, a scheduler's USR1), the workers are to receive SIGTERM: save and stop. The
    parent's own handlers are put back at the end.
    """

    def __init__(self, heard: Callable[[str, bool], None]):
        self.received: str | None = None
        self._heard = heard
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> "Signals":
        for number in FORWARDED:
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        again = self.received is not None
        self.received = self.received or signal.Signals(number).name
        self._heard(self.received, again)


def pause(seconds: float) -> None:
    """Wait a moment; not at all where the clock fails (seen: EINVAL)."""
    with contextlib.suppress(OSError):
        time.sleep(seconds)


class WorkerProcess(Protocol):
    """A process that trains a run."""

    def poll(self) -> int | None:
        """The exit status as `subprocess` gives it, or None while it lives."""

    def stop(self) -> None:
        """Ask for a checkpoint and an end."""

    def stop_now(self) -> None:
        """Kill whatever is left of it."""


def started(
    command: list[str], environment: Mapping[str, str], folder: Path, log: Path, prepare: Callable[[], None]
) -> "subprocess.Popen[bytes]":
    """A child in a session of its own, whose output is appended to `log`; `prepare` is called in it before it begins.

    Raises:
        OSError: it cannot be started, or the log cannot be written.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        )


class Workers:
    """The child process: a worker, or a launcher of several."""

    def __init__(self, command: list[str], environment: dict[str, str], run: Run, folder: Path):
        self._run = run
        self._process = started(command, environment, folder, run.log, prepared())

    def poll(self) -> int | None:
        """The exit status as `subprocess` gives it, or None while it lives."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask for a checkpoint and an end."""
        if self._process.returncode is None:
            self._process.terminate()

    def stop_now(self) -> None:
        """Kill whatever is left: the child's session, and the ranks, which launchers put in sessions of their own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        ranks.kill(self._run)


# From a command, its environment, the run and the working folder to the child process.
Start = Callable[[list[str], dict[str, str], Run, Path], WorkerProcess]


def prepared() -> Callable[[], None]:
    """For a child, before it starts: SIGTERM when the parent dies; it ignores SIGUSR1 and 2, which end launchers.

    Slurm sends these to every process of a job, also to a server.
    """
    hear = exit_with_parent(os.getpid())

    def prepare() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        hear()

    return prepare
