"""Processes that compare expressions by algebra (see `expctl.rewards.algebra`), as many as there is work for."""

import functools
import json
import os
import queue
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Pair = tuple[str, str]  # the right expression and the given one, in LaTeX
WORTH_A_PROCESS = 32  # pairs: to start a process costs as much as to compare so many
MOST_REMEMBERED = 4096  # pairs: completions of a group repeat each other


def equal_pairs(pairs: Sequence[Pair]) -> list[bool]:
    """Whether the expressions of each pair are equal; compared side by side where there are many.

    Raises:
        RuntimeError: the processes cannot run.
    """
    pool = _pool(os.getpid())
    new = [pair for pair in dict.fromkeys(pairs) if pair not in pool.known]
    workers = max(1, min(_cores(), len(new) // WORTH_A_PROCESS))
    if workers == 1:
        found = dict(zip(new, map(pool.equal, new), strict=True))
    else:
        with ThreadPoolExecutor(workers) as threads:
            found = dict(zip(new, threads.map(pool.equal, new), strict=True))
    verdicts = [found[pair] if pair in found else pool.known[pair] for pair in pairs]
    pool.remember(found)
    return verdicts


class AlgebraPool:
    """The processes of this one that compare, those that are idle, and the verdicts that it remembers."""

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[AlgebraProcess] = queue.LifoQueue()
        self._lock = threading.Lock()
        self.known: dict[Pair, bool] = {}

    def equal(self, pair: Pair) -> bool:
        """Whether two expressions are equal, asked of an idle process or of a new one."""
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            process = AlgebraProcess()
        try:
            return process.equal(pair)
        finally:
            self._idle.put(process)

    def remember(self, found: dict[Pair, bool]) -> None:
        """Keep verdicts for later calls, and forget the oldest."""
        with self._lock:
            kept = list((self.known | found).items())[-MOST_REMEMBERED:]
            self.known = dict(kept)


def _cores() -> int:
    """The cores of this process, shared with the other ranks of the machine."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, len(os.sched_getaffinity(0)) // ranks)


@functools.cache
def _pool(pid: int) -> AlgebraPool:
    """One for each process that asks: a forked one must not share its pipes."""
    return AlgebraPool()


class AlgebraProcess:
    """A process that compares, for one thread: started when it is first needed and again whenever it has ended."""

    def __init__(self) -> None:
        self._running: subprocess.Popen[str] | None = None

    def equal(self, pair: Pair) -> bool:
        """Whether two expressions are equal; false for a pair that ended the process.

        Raises:
            RuntimeError: the process cannot run.
        """
        if self._running is None:
            self._running = self._start()
        verdict = _answer_to(self._running, json.dumps(pair))
        if not verdict:
            process, self._running = self._running, None
            self._check_that_it_ran(process)
        return verdict.strip() == "true"

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )

    def _check_that_it_ran(self, process: subprocess.Popen[str]) -> None:
        """A process that a pair has ended was killed by a signal: by its limit, or in a crash."""
        process.communicate()
        if process.returncode >= 0:
            raise RuntimeError(f"the process that compares expressions cannot run; see: {shlex.join(_command())}")


def _command() -> list[str]:
    # -P: the folder of the script holds modules with names of the standard library.
    return [sys.executable, "-P", str(Path(__file__).with_name("algebra.py"))]


def _answer_to(process: subprocess.Popen[str], request: str) -> str:
    """The line that the process answers with; "" where it has ended."""
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    try:
        process.stdin.write(request + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""
