"""On the PYTHONPATH of a command: its workers, and their launcher, are forked from `server.py`, not started.

What a worker imports takes it five seconds, in hundreds of tests. This process stays in the worker's place: it has the
process id that the command knows, hands signals on, and ends with the worker's exit code.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

MODULES = [
    "expctl.worker",
    "expctl.worker.preload",
    "expctl.worker.preflight",
    "expctl.worker.export",
    "expctl.worker.scoring",
    "expctl.verify",
    "expctl.verify.rank",
    "accelerate.commands.launch",
    "torch.distributed.run",
    "submitit.core._submit",
]
# A command that a launcher or srun started as one of several is a worker as well.
IS_RANK = "RANK" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1
HERE = Path(__file__).resolve().parent
SCRIPTS = [HERE.parent, HERE.parents[1] / "scripts"]


def program() -> list[str] | None:
    """`-m MODULE WORDS` or `SCRIPT WORDS`, if this Python is to run a worker, its launcher or a script of the clone."""
    words = [word for word in sys.orig_argv[1:3] if word != "-u"] + sys.orig_argv[3:]
    if words and os.path.basename(words[0]) == "expctl":
        words = ["-m", "expctl", *words[1:]]
    if words[:1] == ["-m"]:
        return words if words[1] in MODULES or (IS_RANK and words[1] == "expctl") else None
    is_script = words and words[0].endswith(".py") and not {*SCRIPTS}.isdisjoint(Path(words[0]).parents)
    return words if is_script else None


def stand_for(words: list[str]) -> None:
    import json
    import signal
    import socket

    if words[0] == "-m" and words[1].startswith("expctl"):
        exit_with_parent()
    given = inherited()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.environ["FORKED_FROM"])
        request = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ), "descriptors": given}
        message = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(server, [message], given)
        server.sendall(message[sent:])
        for descriptor in given[3:]:
            os.close(descriptor)  # whoever is at the other end of a pipe must see that it ends with the worker
        answers = server.makefile()
        pid = int(answers.readline())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda heard, _: os.kill(pid, heard))
        code = answers.readline()
    code = int(code) if code else 1
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def exit_with_parent() -> None:
    """A worker hears SIGTERM when its parent dies; the one that is forked has another parent."""
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def inherited() -> list[int]:
    """The descriptors that this process was started with: its three streams, and those that it was passed."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them
            found += [int(name)] if os.get_inheritable(int(name)) else []
    return sorted(found)


def import_the_next() -> None:
    """There may be another sitecustomize behind this one."""
    paths = [path for path in sys.path if Path(path).resolve() != HERE]
    if spec := importlib.machinery.PathFinder.find_spec("sitecustomize", paths):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if "FORKED_FROM" in os.environ and (words := program()):
    stand_for(words)
import_the_next()
