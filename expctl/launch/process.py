"""Run the workers as a child that never outlives its parent, and hand signals on to it."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from expctl.runs.files import Run

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
PR_SET_PDEATHSIG = 1


class Workers:
    """The child process (a worker, or a launcher of several) while it lives.

    Whatever the parent is told (Ctrl-C, a scheduler's USR1), the workers hear SIGTERM: save and stop. A second signal
    stops them at once. Use as a context manager: the parent's own handlers are put back at the end.
    """

    def __init__(self, command: list[str], environment: dict[str, str], run: Run, folder: Path):
        self.received: str | None = None
        self._log = run.log.open("ab")
        self._before: dict[int, Callable | int | None] = {}
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )

    def __enter__(self) -> "Workers":
        for number in FORWARDED:
            self._before[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_now()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._log.close()

    def _forward(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            self.stop_now()
            return
        self.received = signal.Signals(number).name
        if self.process.poll() is None:
            self.process.terminate()

    def stop_now(self) -> None:
        """Kill whatever is left of the workers' session."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def wait(self, every: float, look: Callable[[], None]) -> int:
        """Wait for the end, calling `look` each `every` seconds; the exit status as `subprocess` gives it."""
        while True:
            try:
                return self.process.wait(timeout=every)
            except subprocess.TimeoutExpired:
                look()


def _die_with(parent: int) -> Callable[[], None]:
    """In the child, before it starts: SIGTERM when the parent dies; deaf to USR1/2, which launchers do not survive."""
    libc = ctypes.CDLL(None, use_errno=True) if Path("/proc").exists() else None

    def prepare() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

    return prepare
