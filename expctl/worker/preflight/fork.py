"""Runs a function in a forked process, so that nothing that it changes outlives it: random states, memory, modules."""

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from expctl.base.parent_death import exit_with_parent

POLL_SECONDS = 0.1


def in_fork(function: Callable[[], Any], is_stopped: Callable[[], bool] = lambda: False) -> Any:
    """Run a function in a forked process whose output is dropped.

    Safe only before the first tensor, tokenizer or thread pool of this process (see `expctl.worker.preload`).

    Args:
        function: called without arguments.
        is_stopped: asked again and again; the process is killed once it is true.

    Returns:
        What the function returned, as JSON carries it; None where the process died or was killed.
    """
    read, write = os.pipe()
    follow_parent = exit_with_parent(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _answer(function, write, follow_parent)
    os.close(write)
    try:
        answer = _received(read, is_stopped)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(read)
    if answer is None:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return json.loads(answer) if answer else None


def _received(descriptor: int, is_stopped: Callable[[], bool]) -> bytes | None:
    """All that is written until the other end closes; None where `is_stopped()` became true before."""
    chunks: list[bytes] = []
    while not is_stopped():
        if not select.select([descriptor], [], [], POLL_SECONDS)[0]:
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
    return None


def _answer(function: Callable[[], Any], write: int, follow_parent: Callable[[], None]) -> NoReturn:
    """In the child: write the answer and exit, whatever happens."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        follow_parent()
        devnull = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(devnull, descriptor)
        answer = json.dumps(function()).encode()
        while answer:
            answer = answer[os.write(write, answer) :]
    finally:
        os._exit(0)
