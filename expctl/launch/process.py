"""A child process that never outlives its parent, and the signals that the parent hands on to it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from expctl.base.parent_death import hear_of_death
from expctl.runs import ranks
from expctl.runs.files import Run

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Signals:
    """While it is entered, a signal to this process calls `told`: with its name, and whether it was not the first.

    Whatever the parent hears (Ctrl-C, a scheduler's USR1), the workers are to hear SIGTERM: save and stop. The parent's
    own handlers are put back at the end.
    """

    def __init__(self, told: Callable[[str, bool], None]):
        self.received: str | None = None
        self._told = told
        self._before: dict[int, Callable | int | None] = {}

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
        self._told(self.received, again)


class Workers:
    """The child process: a worker, or a launcher of several."""

    def __init__(self, command: list[str], environment: dict[str, str], run: Run, folder: Path):
        self._run = run
        with run.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_prepared(),
            )

    def poll(self) -> int | None:
        """The exit status as `subprocess` gives it, or None while it lives."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """As `poll`, but wait a little for the end."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        except OSError:  # a clock that fails (seen: EINVAL from the sleep of `subprocess`): look again at once
            return self.poll()

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
Start = Callable[[list[str], dict[str, str], Run, Path], Workers]


def _prepared() -> Callable[[], None]:
    """In the child, before it starts: SIGTERM when the parent dies; deaf to USR1/2, which launchers do not survive."""
    hear = hear_of_death(os.getpid())

    def prepare() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        hear()

    return prepare
