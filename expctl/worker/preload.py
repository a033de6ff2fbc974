"""`python -m expctl.worker.preload REQUESTS ANSWERS CONFIG`: import the libraries once, then fork a worker a request.

For cells of a sweep that are shorter than the imports. Safe because nothing but imports happens before a fork: no
tensor is touched (a parallel region of OpenMP before a fork blocks every child), no CUDA, no tokenizer, no thread.

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

from expctl.base.parent_death import hear_of_death
from expctl.worker.libraries import import_libraries

LOOK_SECONDS = 0.02


def serve(requests: int, answers: int, config: dict[str, Any]) -> None:
    """Fork workers until the other end closes; then wait for those that are left."""
    hear_of_death(os.getppid())()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's to hand on
    import_libraries(config)
    look_up_once(config)
    gc.freeze()
    say(answers, ready=True)
    unread, is_open, children = b"", True, 0
    while is_open or children:
        if is_open and select.select([requests], [], [], LOOK_SECONDS)[0]:
            received = os.read(requests, 1 << 20)
            is_open, unread = bool(received), unread + received
            *lines, unread = unread.split(b"\n")
            for line in lines:
                request = json.loads(line)
                say(answers, began=fork(request, (requests, answers)), run=request["run"])
                children += 1
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(-1, os.WNOHANG if is_open else 0)
            if pid:
                say(answers, ended=pid, code=os.waitstatus_to_exitcode(status))
                children -= 1


def look_up_once(config: dict[str, Any]) -> None:
    """What the first model and the first trainer of a process look up, a second in all, and keep for those after."""
    from accelerate.utils import is_deepspeed_available
    from hydra.utils import get_class
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    from expctl.algorithms import fingerprints
    from expctl.models import resolve

    # None of it is needed here: what cannot be looked up is the worker's business, and its error.
    with contextlib.suppress(Exception):
        model = AutoConfig.from_pretrained(resolve(config["model"]["path"]).source)
        MODEL_FOR_CAUSAL_LM_MAPPING[type(model)]
        get_checkpoint_conversion_mapping(model.model_type)
    with contextlib.suppress(Exception):
        if is_deepspeed_available():  # accelerate asks each model whether it is DeepSpeed's
            import deepspeed  # noqa: F401
    trainer = config["algorithm"]["trainer"]["_target_"]
    if trainer.startswith(("expctl.", "trl.")):
        fingerprints.warnings_for(get_class(trainer))


def fork(request: dict[str, Any], own: tuple[int, ...]) -> int:
    """Process id of a new worker."""
    pid = os.fork()
    if pid == 0:
        try:
            become_worker(request, own)
        finally:
            os._exit(1)
    return pid


def become_worker(request: dict[str, Any], own: tuple[int, ...]) -> NoReturn:
    """In the child: what a worker finds that was started by itself."""
    for descriptor in own:
        os.close(descriptor)
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    log = os.open(Path(request["run"]) / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:0] = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder not in sys.path]
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    from expctl.worker.main import work

    work(Path(request["run"]))


def say(answers: int, **words: Any) -> None:
    os.write(answers, json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), yaml.safe_load(Path(sys.argv[3]).read_text(encoding="utf-8")))
