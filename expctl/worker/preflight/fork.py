"""A function in a forked process: its random numbers, its memory and all that it changes are gone when it ends."""

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from expctl.base.parent_death import hear_of_death

LOOK_SECONDS = 0.1


def in_fork(function: Callable[[], Any], is_stopped: Callable[[], bool] = lambda: False) -> Any:
    """What `function` returns (as JSON carries it), run in a forked process whose output is dropped.

    None where the process died without an answer, or was stopped since `is_stopped()` became true.
    Safe only before the first tensor, tokenizer or thread pool of this process (see `expctl.worker.preload`).
    """
    read, write = os.pipe()
    hear = hear_of_death(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _answer(function, write, hear)
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
    """All that is written until the other end closes; None when it was not waited for."""
    chunks = []
    while not is_stopped():
        if not select.select([descriptor], [], [], LOOK_SECONDS)[0]:
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
    return None


def _answer(function: Callable[[], Any], write: int, hear: Callable[[], None]) -> NoReturn:
    """In the child: answer and leave, whatever happens."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        hear()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        answer = json.dumps(function()).encode()
        while answer:
            answer = answer[os.write(write, answer) :]
    finally:
        os._exit(0)
