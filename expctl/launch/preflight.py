"""The full check of experiments, in a process that imports the libraries once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.parent_death import exit_with_parent
from expctl.launch.command import worker_environment
from expctl.runs.identity import run_of


def preflights(experiments: Iterable[Experiment]) -> Iterator[dict[str, Any] | None]:
    """What the worker finds wrong with each experiment (see `expctl.worker.preflight.phases`); nothing is created.

    None for one of which the check died without a word.
    """
    process = None
    for experiment in experiments:
        if process is None or process.poll() is not None:
            process = _started(experiment)
        yield _asked(process, experiment)
    if process is not None:
        process.communicate()


def _started(experiment: Experiment) -> subprocess.Popen[str]:
    environment = worker_environment(run_of(experiment), experiment.config, experiment.folder)
    return subprocess.Popen(
        [sys.executable, "-m", "expctl.worker.preflight"],
        env=environment,
        cwd=experiment.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("EXPCTL_DEBUG") == "1" else subprocess.DEVNULL,
        text=True,
        preexec_fn=exit_with_parent(os.getpid()),
    )


def _asked(process: subprocess.Popen[str], experiment: Experiment) -> dict[str, Any] | None:
    assert process.stdin and process.stdout, "both are pipes"
    try:
        process.stdin.write(json.dumps(experiment.config) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    answer: dict[str, Any] | None = json.loads(process.stdout.readline() or "null")
    return answer
