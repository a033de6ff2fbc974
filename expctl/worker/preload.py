"""`python -m expctl.worker.preload REQUESTS ANSWERS CONFIG`: import the libraries once, then fork a worker per request.

For jobs of a sweep that are shorter than the imports. Forking is safe because nothing but imports happens before it: no
tensor operation (a parallel region of OpenMP before a fork blocks every child), no CUDA, no tokenizer, no thread.

A request is a line of JSON with `run`, `folder`, `environment`; the answers are `{"ready": true}`, `{"began": pid,
"run": run}` and `{"ended": pid, "code": code}`, the code as `subprocess` gives it.
"""

import contextlib
import gc
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import yaml

from expctl.base.modules import is_known
from expctl.base.parent_death import exit_with_parent
from expctl.worker.libraries import import_libraries

POLL_SECONDS = 0.02


def serve(requests: int, answers: int, config: dict[str, Any]) -> None:
    """Fork workers until the other end closes, then wait for those that still run.

    Args:
        requests: file descriptor to read from.
        answers: file descriptor to write to.
        config: of the first job, which names the libraries.
    """
    exit_with_parent(os.getppid())()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command forwards Ctrl-C
    import_libraries(config)
    fill_lookup_caches(config)
    gc.freeze()
    send(answers, ready=True)
    unread, is_open, children = b"", True, 0
    while is_open or children:
        if is_open and select.select([requests], [], [], POLL_SECONDS)[0]:
            received = os.read(requests, 1 << 20)
            is_open, unread = bool(received), unread + received
            *lines, unread = unread.split(b"\n")
            for line in lines:
                request = json.loads(line)
                send(answers, began=fork_worker(request, (requests, answers)), run=request["run"])
                children += 1
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(-1, os.WNOHANG if is_open else 0)
            if pid:
                send(answers, ended=pid, code=os.waitstatus_to_exitcode(status))
                children -= 1


def fill_lookup_caches(config: dict[str, Any]) -> None:
    """Fill the caches that the first model and the first trainer of a process fill, in about a second."""
    from accelerate.utils import is_deepspeed_available
    from hydra.utils import get_class
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    from expctl.algorithms import fingerprints
    from expctl.models import resolve

    # An error here is the worker's to report, if it meets it too.
    with contextlib.suppress(Exception):
        model = AutoConfig.from_pretrained(resolve(config["model"]["path"]).source)
        MODEL_FOR_CAUSAL_LM_MAPPING[type(model)]
        get_checkpoint_conversion_mapping(model.model_type)
    with contextlib.suppress(Exception):
        if is_deepspeed_available():  # accelerate asks each model whether it is DeepSpeed's
            import deepspeed  # noqa: F401
    trainer = config["algorithm"]["trainer"]["_target_"]
    if is_known(trainer):
        fingerprints.warnings_for(get_class(trainer))


def fork_worker(request: dict[str, Any], pipes: tuple[int, ...]) -> int:
    """Fork a worker for a request, and return its process id; `pipes` are closed in it."""
    pid = os.fork()
    if pid == 0:
        try:
            run_worker(request, pipes)
        finally:
            os._exit(1)
    return pid


def run_worker(request: dict[str, Any], pipes: tuple[int, ...]) -> NoReturn:
    """Run the worker of a request in this forked process, with the environment of one that was started by itself."""
    for descriptor in pipes:
        os.close(descriptor)
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    log = os.open(Path(request["run"]) / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    from expctl.worker.main import run_rank

    run_rank(Path(request["run"]))


def send(answers: int, **answer: Any) -> None:
    """Write an answer as a line of JSON."""
    os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), yaml.safe_load(Path(sys.argv[3]).read_text(encoding="utf-8")))
