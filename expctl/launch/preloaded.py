"""Workers forked from a process that has the libraries imported: for sweeps of runs shorter than the imports."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from expctl.base.engine import vllm_mode
from expctl.base.experiment import Experiment
from expctl.base.parent_death import exit_with_parent
from expctl.launch.process import Start, WorkerProcess, Workers
from expctl.runs import ranks
from expctl.runs.files import Run
from expctl.runs.manifest import COMPLETED, recorded

BIRTH_SECONDS = 120.0
# The imports take a worker some five seconds, as they take the process that is forked from.
WORTH_IT = 3
LOST = 1


class Preloader:
    """The process that workers are forked from. `start` is used in the place of `Workers`, and falls back to it."""

    def __init__(self, first: Experiment):
        """`first`: an experiment whose worker imports what those of the others are expected to import."""
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        os.set_blocking(self._answers, False)
        self._unread = b""
        self._ready = False
        self._pids: dict[str, int] = {}
        self._codes: dict[int, int] = {}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
            yaml.safe_dump(first.config, file)
        self._config = Path(file.name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expctl.worker.preload", str(requests), str(answers), file.name],
            env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            cwd=first.folder,
            pass_fds=(requests, answers),
            start_new_session=True,
            preexec_fn=exit_with_parent(os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(requests)
        os.close(answers)

    def start(self, command: list[str], environment: dict[str, str], run: Run, folder: Path) -> WorkerProcess:
        """A worker of the run: forked, or started by itself where there is nothing to fork from."""
        request = {"run": str(run.folder), "folder": str(folder), "environment": environment}
        with contextlib.suppress(BrokenPipeError):
            if self._wait(lambda: self._ready):
                os.write(self._requests, json.dumps(request).encode() + b"\n")
                if self._wait(lambda: str(run.folder) in self._pids):
                    return Forked(self, self._pids.pop(str(run.folder)), run)
        return Workers(command, environment, run, folder)

    def code(self, pid: int) -> int | None:
        """Exit status of a forked worker, None while it lives."""
        self._listen()
        if pid not in self._codes and self._process.poll() is not None:
            return LOST if not Path(f"/proc/{pid}").exists() else None
        return self._codes.get(pid)

    def close(self) -> None:
        """No more requests: it leaves when its last worker has ended."""
        os.close(self._requests)
        os.close(self._answers)
        self._config.unlink(missing_ok=True)

    def _wait(self, condition: Callable[[], bool]) -> bool:
        until = time.monotonic() + BIRTH_SECONDS
        while not condition():
            if self._process.poll() is not None or time.monotonic() > until:
                return False
            time.sleep(0.01)
            self._listen()
        return True

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while received := os.read(self._answers, 1 << 16):
                self._unread += received
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self._ready = self._ready or "ready" in answer
            if "began" in answer:
                self._pids[answer["run"]] = answer["began"]
            if "ended" in answer:
                self._codes[answer["ended"]] = answer["code"]


@contextlib.contextmanager
def preloader(runs: Sequence[tuple[Run, Experiment]], wanted: bool | None) -> Iterator[Callable[[Experiment], Start]]:
    """How to start each run's worker; with `wanted` None, forked where enough runs are to be trained to repay it."""
    forked = [experiment for run, experiment in runs if _to_be_trained(run) and can_be_forked(experiment)]
    if not forked or wanted is False or (wanted is None and len(forked) < WORTH_IT):
        yield lambda experiment: Workers
        return
    source = Preloader(forked[0])
    try:
        yield lambda experiment: source.start if can_be_forked(experiment) else Workers
    finally:
        source.close()


def can_be_forked(experiment: Experiment) -> bool:
    """One process on the CPU: neither CUDA nor vLLM survives a fork, and ranks are their launcher's to start."""
    hardware = experiment.hardware
    alone = hardware["num_processes"] == hardware["num_machines"] == 1 and not hardware["sharding"]
    return alone and hardware["use_cpu"] and vllm_mode(experiment.config) is None


def _to_be_trained(run: Run) -> bool:
    return recorded(run).status != COMPLETED


class Forked:
    """A worker that was forked; see `WorkerProcess`."""

    def __init__(self, source: Preloader, pid: int, run: Run):
        self._source, self._pid, self._run = source, pid, run
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._source.code(self._pid)
        return self._code

    def stop(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGTERM)

    def stop_now(self) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        ranks.kill(self._run)
