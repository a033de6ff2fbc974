"""What only the libraries can say of experiments, asked in a process that imports them once."""

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
            process = started(experiment, "expctl.worker.preflight")
        yield _asked(process, experiment)
    if process is not None:
        process.communicate()


def data_view(experiment: Experiment, rows: int) -> dict[str, Any] | None:
    """What the trainer will see of the data, with `rows` of them (see `expctl.worker.data_view.view`).

    None where the process died without a word.
    """
    process = started(experiment, "expctl.worker.preflight", str(rows))
    answer = _asked(process, experiment)
    process.communicate()
    return answer


def started(experiment: Experiment, module: str, *words: str) -> subprocess.Popen[str]:
    """A module of the worker's, started beside an experiment of which there is no run; it is asked by its input."""
    environment = worker_environment(run_of(experiment), experiment.config, experiment.folder)
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
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
