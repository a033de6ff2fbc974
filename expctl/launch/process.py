"""Run the workers as a child that never outlives its parent, and hand signals on to it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from expctl.processes import hear_of_death
from expctl.runs import ranks
from expctl.runs.files import Run

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Workers:
    """The child process (a worker, or a launcher of several) while it lives.

    Whatever the parent is told (Ctrl-C, a scheduler's USR1), the workers hear SIGTERM: save and stop. A second signal
    stops them at once. Use as a context manager: the parent's own handlers are put back at the end.
    """

    def __init__(self, command: list[str], environment: dict[str, str], run: Run, folder: Path):
        self.received: str | None = None
        self._run = run
        self._command = command
        self._environment = environment
        self._folder = folder
        self._before: dict[int, Callable | int | None] = {}
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "Workers":
        # Before the child is there: a signal between its birth and the handlers would leave it behind.
        for number in FORWARDED:
            self._before[number] = signal.signal(number, self._forward)
        with self._run.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_prepared(),
            )
        if self.received:
            self._process.terminate()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_now()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, _: FrameType | None) -> None:
        again = self.received is not None
        self.received = self.received or signal.Signals(number).name
        if self._process is None or self._process.returncode is not None:
            return
        if again:
            self.stop_now()
        else:
            self._process.terminate()

    def stop_now(self) -> None:
        """Kill whatever is left: the child's session, and the ranks, which launchers put in sessions of their own."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            ranks.kill(self._run)

    def wait(self, every: float, look: Callable[[], None]) -> int:
        """Wait for the end, calling `look` each `every` seconds; the exit status as `subprocess` gives it."""
        while True:
            try:
                return self._process.wait(timeout=every)
            except subprocess.TimeoutExpired:
                look()


def _prepared() -> Callable[[], None]:
    """In the child, before it starts: SIGTERM when the parent dies; deaf to USR1/2, which launchers do not survive."""
    hear = hear_of_death(os.getpid())

    def prepare() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        hear()

    return prepare
