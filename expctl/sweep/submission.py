"""What a job of a scheduler is told: an experiment as plain YAML in the folder of its submission, signed by the user.

The job, on another machine, executes what stands there. So it is read as data, and only where this user wrote it.
"""

import contextlib
import copy
import hmac
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from expctl.base.experiment import Experiment
from expctl.base.parent_death import exit_with_parent
from expctl.base.paths import outputs_root
from expctl.config.hydra_node import allow_sweep_folder
from expctl.runs.files import read_json, write_yaml
from expctl.runs.reading import MOST_BYTES, open_plain
from expctl.runs.seal import key_file, sign
from expctl.sweep.job import SweepJob

FORMAT = 2  # 2: the fields of an experiment have other names
# The jobs of a submission, in the order in which they were handed over.
JOBS = "cells.json"
PATHS = ("folder", "code")


class ForeignSubmissionError(Exception):
    """A file of a submission that this user's expctl has not written; the text says why."""


class Submission:
    """The folder of one submission, and a process in which a plug-in's launcher hands its jobs over and waits.

    A process of its own, because Ray takes the one that it was started in along when it dies, and because a launcher
    that waits for a job that is gone may wait for ever. Each job's experiment is written down as it was checked.
    """

    def __init__(self, jobs: Sequence[SweepJob], name: str):
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        root = outputs_root(jobs[0].to_run.experiment.folder) / "sweeps" / name
        self.folder = root / f"{stamp}-{os.getpid()}-{len(list(root.glob(f'{stamp}-*')))}"
        root.mkdir(parents=True, exist_ok=True)
        # Closed to others: what the plug-ins put there themselves are pickles, which a job executes.
        self.folder.mkdir(mode=0o700)
        self.log = self.folder / "launcher.log"
        self.number = len(jobs)
        for number, job in enumerate(jobs):
            write(self.folder, number, replace(job.to_run.experiment, runs_remotely=False), job.run.run_id)
        words = {job.run.run_id: list(job.words) for job in jobs}
        (self.folder / JOBS).write_text(json.dumps(words, indent=1) + "\n")

    def start(self, launcher: Launcher, task: TaskFunction, context: HydraContext, config: DictConfig) -> None:
        """Run `launcher.launch` for `task` in a process of its own; what it prints goes to the log."""
        config = copy.deepcopy(config)
        OmegaConf.set_readonly(config, False)
        config.hydra.sweep.dir = str(self.folder)
        launcher.setup(hydra_context=context, task_function=task, config=config)
        hear = exit_with_parent(os.getpid())
        # What a job is, it reads itself; Hydra needs only a place for what it might write.
        overrides = [[f"hydra.sweep.dir='{self.folder}'"] for _ in range(self.number)]
        arguments = (launcher, overrides, self.log, hear)
        self._process = get_context("fork").Process(target=_launch, args=arguments, daemon=True)
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether the launcher still waits for its jobs."""
        return self._process.is_alive()

    def last_words(self) -> str:
        """The last line that the launcher printed before it ended."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "no word"

    def end(self) -> None:
        """End the process; what it started may know by that."""
        pid = self._process.pid
        assert pid is not None, "it was started"
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            self._process.join(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        self._process.join(5)


def submitted_runs(folder: Path) -> list[str]:
    """Ids of the runs of an earlier submission, in the order of its jobs."""
    return list(read_json(folder / JOBS) or {})


def _launch(launcher: Launcher, overrides: list[list[str]], log: Path, hear: Callable[[], None]) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    hear()
    allow_sweep_folder(log.parent)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    launcher.launch(overrides, 0)


def write(folder: Path, number: int, experiment: Experiment, run_id: str) -> None:
    """Write down job `number` of a submission: its experiment, and the id of the run that it is to be.

    Raises:
        OSError: the file cannot be written.
    """
    kept = {field.name: getattr(experiment, field.name) for field in fields(experiment)}
    kept |= {name: str(kept[name]) for name in PATHS if kept[name] is not None}
    content = {"format": FORMAT, "run_id": run_id, "experiment": kept | {"overrides": list(kept["overrides"])}}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_yaml(_file(folder, number), {"hmac": _signature(folder, number, text, make=True), "content": text})


def read(folder: Path, number: int) -> tuple[Experiment, str]:
    """The experiment of job `number`, and the id of its run.

    Raises:
        ForeignSubmissionError: this user's expctl has not written it, or in another format.
        OSError: it is not there.
    """
    file = _file(folder, number)
    try:
        with open_plain(file) as opened:
            if os.fstat(opened.fileno()).st_uid != os.getuid():
                raise ForeignSubmissionError(f"{file} belongs to another user")
            submitted = yaml.safe_load(opened.read(MOST_BYTES))
        text, signature = submitted["content"], submitted["hmac"]
        _check(file, signature, _signature(folder, number, text))
        content = yaml.safe_load(text)
        if content["format"] != FORMAT:
            raise ForeignSubmissionError(f"{file} was written by another version of expctl")
        return _experiment(content["experiment"]), content["run_id"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise ForeignSubmissionError(f"{file} is no submission: {error}") from error


def _check(file: Path, signature: str | None, right: str | None) -> None:
    """Where no key can be kept there is no signature, and the owner of the file is all that tells whose it is."""
    if signature is None and right is None:
        return
    if signature is None or right is None or not hmac.compare_digest(signature, right):
        raise ForeignSubmissionError(f"{file} is not signed with your key ({key_file()})")


def _signature(folder: Path, number: int, text: str, *, make: bool = False) -> str | None:
    """Of the text in its place, so that no job takes another's; None where there is no key."""
    try:
        return sign(f"{folder.name}/{number}\n{text}".encode(), make=make)
    except (OSError, ValueError):
        return None


def _experiment(kept: dict[str, Any]) -> Experiment:
    return Experiment(**kept | {name: Path(kept[name]) for name in PATHS if kept[name] is not None})


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.yaml"
