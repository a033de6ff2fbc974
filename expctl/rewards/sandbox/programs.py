"""Inside: a program that reads its input and prints its output, each input in a new process that this one forks."""

import os
import select
import signal
import sys
import threading
import time
import types
from typing import Any

from expctl.rewards.sandbox import lockdown
from expctl.rewards.sandbox.wire import ClosedError, Line

CHUNK = 1 << 16
# What the kernel sends at the limit of processor time, and to a process that does not hear the first.
OUT_OF_TIME = (signal.SIGXCPU, signal.SIGKILL)


def serve(line: Line, program: str, limits: dict[str, Any]) -> None:
    """Answer each `input` with what the program prints and how it ended, until the other end is gone."""
    while True:
        try:
            text = line.receive()["input"]
        except ClosedError:
            return
        line.send(_outcome(program, text, limits))


def _outcome(program: str, text: str, limits: dict[str, Any]) -> dict[str, Any]:
    """`ended`: "well", "badly" (an exception, an exit code, a signal), "late", or "flooded" by its own output."""
    source = os.memfd_create("input")
    with os.fdopen(os.dup(source), "wb") as file:
        file.write(text.encode())
    os.lseek(source, 0, os.SEEK_SET)
    output, into = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _become(program, source, into, limits, parent)
    os.close(into)
    os.close(source)
    printed, ended = _printed(child, output, limits)
    os.close(output)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if ended == "well" and status != 0:
        ended = "late" if os.WIFSIGNALED(status) and os.WTERMSIG(status) in OUT_OF_TIME else "badly"
    return {"output": printed.decode("utf-8", "replace"), "ended": ended}


def _printed(child: int, output: int, limits: dict[str, Any]) -> tuple[bytes, str]:
    """What a child prints until it ends, the time is over, or it is more than it may be."""
    deadline = time.monotonic() + limits["wall"]
    ending = os.pidfd_open(child)
    printed = b""
    watched = [output, ending]
    try:
        while True:
            ready, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return printed, "late"
            if output in ready:
                read = os.read(output, CHUNK)
                printed += read
                if len(printed) > limits["output"]:
                    return printed[: limits["output"]], "flooded"
                if not read:
                    watched.remove(output)
            elif ending in ready:
                return printed, "well"
    finally:
        os.close(ending)


def _become(program: str, source: int, into: int, limits: dict[str, Any], parent: int) -> None:
    """Turn this process, just forked, into the program. It does not return."""
    code = 1
    try:
        os.dup2(source, 0)
        os.dup2(into, 1)
        os.closerange(3, 256)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        lockdown.limit(limits["seconds"], limits["memory"], parent)
        lockdown.close_doors(files=False, calls=limits["protected"])  # the files are closed to this one's parent
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        exec(compile(program, "solution.py", "exec"), module.__dict__)
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        code = 1
    try:
        sys.stdout.flush()
    finally:
        os._exit(code & 0xFF)
