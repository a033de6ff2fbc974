"""Import once, then fork a process for each one that asks; it leaves when the tests that started it do.

`python server.py SOCKET workers` imports what workers import; `sitecustomize.py` asks it. Nothing but imports happens
before a fork: no tensor, no thread.

`python server.py SOCKET commands` imports what a command imports, which is no torch, and composes the default
experiment once, so that Hydra has looked for its plugins; `harness.expctl` asks it.
"""

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pkgutil import walk_packages

TRAINERS = {
    "trl.GRPOTrainer": "trl.GRPOConfig",
    "trl.SFTTrainer": "trl.SFTConfig",
    "trl.DPOTrainer": "trl.DPOConfig",
}
# What a first training asks for wherever it is (its model, whether that is DeepSpeed's), launchers, checks.
LATER = [
    "transformers.models.qwen3.modeling_qwen3",
    "deepspeed",
    "peft",
    "accelerate.commands.launch",
    "torch.distributed.algorithms.ddp_comm_hooks.default_hooks",
    "torch.distributed.run",
    "expctl.verify.__main__",
    "expctl.worker.main",
    "expctl.worker.preflight.build_phases",
]
# The rooms of a command, and what no command may import.
ROOMS = ["base", "devices", "runs", "config", "launch", "sweep", "search", "compare", "report", "cli"]
HEAVY = {"torch", "transformers", "trl", "datasets"}


def import_for_workers() -> None:
    from expctl.worker.libraries import import_libraries

    for trainer, args in TRAINERS.items():
        import_libraries({"algorithm": {"trainer": {"_target_": trainer}}, "args": {"_target_": args}})
    for module in LATER:
        if find_spec(module.partition(".")[0]):  # the environment of vLLM has no DeepSpeed
            importlib.import_module(module)
    # It reads a package's metadata each time that it asks for it, several times a step.
    packages = importlib.import_module("accelerate.utils.imports")
    packages._is_package_available = functools.cache(packages._is_package_available)
    # A thousand regular expressions that the first model which is loaded would compile.
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("qwen3")


def import_for_commands() -> None:
    from expctl.cli.main import run_words

    for room in ROOMS:
        package = importlib.import_module(f"expctl.{room}")
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        assert run_words(["check"]) == 0
    assert not HEAVY & set(sys.modules), "a command imports none of these"


def main(path: str, kind: str) -> None:
    paths = sys.path[:]
    {"workers": import_for_workers, "commands": import_for_commands}[kind]()
    gc.collect()
    gc.freeze()  # pages stay shared with what is forked
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    ready = selectors.DefaultSelector()
    ready.register(listening, selectors.EVENT_READ)
    ready.register(sys.stdin, selectors.EVENT_READ)
    workers: dict[socket.socket, Worker] = {}
    while True:
        for key, _ in ready.select():
            if key.fileobj is sys.stdin:
                return
            if key.fileobj is listening:
                client, _ = listening.accept()
                workers[client] = fork(client, paths, [listening, *workers])
                for file in (client, workers[client].ended):
                    ready.register(file, selectors.EVENT_READ, client)
            elif key.fileobj is key.data:
                # Nothing is ever sent after the request: the process that stands for the worker was killed.
                os.kill(workers[key.data].pid, signal.SIGKILL)
                ready.unregister(key.data)
            else:
                ready.unregister(key.fileobj)
                if key.data in ready.get_map():
                    ready.unregister(key.data)
                report_end(key.data, workers.pop(key.data))


@dataclass
class Worker:
    """A process that was forked, and a descriptor that can be read when it has ended."""

    pid: int
    ended: int


def report_end(client: socket.socket, worker: Worker) -> None:
    os.close(worker.ended)
    _, status = os.waitpid(worker.pid, 0)
    with contextlib.suppress(OSError):
        client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    client.close()


def fork(client: socket.socket, paths: list[str], others: list[socket.socket]) -> Worker:
    message, descriptors, _, _ = socket.recv_fds(client, 1 << 16, 16)
    while not message.endswith(b"\n"):
        message += client.recv(1 << 16)
    pid = os.fork()
    if pid == 0:
        try:
            for each in (client, *others):
                each.close()
            become(json.loads(message), descriptors, paths)
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    client.sendall(b"%d\n" % pid)
    return Worker(pid, os.pidfd_open(pid))


def beyond(numbers: list[int], descriptors: list[int]) -> list[int]:
    """The descriptors, moved to where none of them lies at a number that another is to have."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    return moved


def become(request: dict, descriptors: list[int], paths: list[str]) -> None:
    """In the child: what `python -m MODULE WORDS` or `python SCRIPT WORDS` finds."""
    os.setsid()
    numbers = request["descriptors"]
    for number, descriptor in zip(numbers, beyond(numbers, descriptors), strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=True)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    words = request["words"]
    module = words[0] == "-m"
    words = words[1:] if module else words
    own = [] if "PYTHONSAFEPATH" in os.environ else [request["folder"] if module else os.path.dirname(words[0])]
    sys.path[:] = [*own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *paths]
    sys.argv = words
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    code = 0
    try:
        if module:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
