"""Cells that a scheduler runs on other machines: handed over, and watched through the files of their runs."""

import contextlib
import copy
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf

from expctl.base.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from expctl.base.parent_death import hear_of_death
from expctl.base.paths import outputs_of, outputs_root
from expctl.base.refusal import Refusal
from expctl.config.hydra_node import allow_sweep_folder
from expctl.launch.launch import Outcome
from expctl.launch.process import Signals
from expctl.runs import manifest
from expctl.runs.files import read_json
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, RUNNING
from expctl.runs.records import Manifest
from expctl.sweep.pool import ELSEWHERE, ENDED, WAITING, Place
from expctl.sweep.submission import write

LOOK_SECONDS = 1.0
# The cells of a submission, in the order of its jobs.
CELLS = "cells.json"


class Scheduler(Protocol):
    """What runs cells elsewhere.

    `left`: ids of the runs that an earlier command handed over and that are still to run; from then on they are waited
    for as if they had been submitted. `gone` says that a cell will not run (again), and why if that is a failure.
    `cancel` has all save and stop, but for the runs that it returns, which another command waits for.
    """

    def left(self, places: Sequence[Place]) -> set[str]: ...

    def submit(self, places: Sequence[Place]) -> None: ...

    def gone(self, place: Place) -> tuple[bool, str | None]: ...

    def cancel(self) -> set[str]: ...

    def close(self) -> None: ...


class SchedulerPool:
    """Hands the cells that are not completed to a scheduler and waits for all of them. Their manifests say how they do.

    An interrupted run is not the end of its cell as long as the scheduler may put it back.
    """

    def __init__(self, places: Sequence[Place], scheduler: Scheduler, look: Callable[[], None] = lambda: None):
        self._places = places
        self._scheduler = scheduler
        self._look = look
        self._before: dict[str, list[str | None]] = {}
        self._left: set[str] = set()
        self._others: set[str] = set()
        self._told_by: str | None = None

    def run(self) -> str | None:
        """All cells to their end; the signal that broke it off, if one did.

        Raises:
            Refusal: the scheduler does not take cells, or what it needs to know of them cannot be written.
        """
        with Signals(self._told) as signals:
            try:
                self._begin()
                while not all(place.status in ENDED for place in self._places):
                    self._refresh()
                    self._look()
                    time.sleep(LOOK_SECONDS)
            finally:
                self._scheduler.close()
            return signals.received

    def _told(self, received: str, again: bool) -> None:
        self._told_by = received
        if again:
            raise KeyboardInterrupt
        self._others = self._scheduler.cancel()

    def _begin(self) -> None:
        to_do = [place for place in self._places if self._is_to_do(place)]
        self._left = self._scheduler.left(to_do) if to_do else set()
        for place in to_do:
            if place.run.run_id in self._left:
                place.status = WAITING
        self._submit([one for one in to_do if one.status == WAITING and one.run.run_id not in self._left])

    def _submit(self, places: list[Place]) -> None:
        if places and not self._told_by:
            # A cell that stands twice in the grid is one run.
            places = list({place.run.run_id: place for place in places}.values())
            try:
                self._scheduler.submit(places)
            except OSError as error:
                raise Refusal(
                    f"the cells cannot be handed over: {error.strerror or error}",
                    where=str(error.filename or outputs_of(places[0].run.folder)),
                    do="make it writable; the same command goes on, also with what was handed over already",
                ) from error
            if self._told_by:  # while they were handed over
                self._others = self._scheduler.cancel()

    def _is_to_do(self, place: Place) -> bool:
        if place.status in ENDED:
            return False
        recorded = manifest.read(place.run) or manifest.recorded(place.run)
        self._before[place.run.run_id] = _attempts(recorded)
        if recorded.status == COMPLETED and not place.experiment.config["force"]:
            self._end(place, Outcome.of_completed(place.run))
        elif recorded.status == RUNNING:
            place.status = ELSEWHERE
            self._before[place.run.run_id].pop()
        return place.status not in ENDED

    def _refresh(self) -> None:
        given_up = []
        for place in self._places:
            if place.status in ENDED:
                continue
            # In this order: what a cell writes before it goes is seen.
            gone, why = (True, None) if place.status == ELSEWHERE else self._scheduler.gone(place)
            recorded = manifest.read(place.run) or manifest.recorded(place.run)
            status = recorded.status if self._is_new(place, recorded) else None
            if status == COMPLETED:
                self._end(place, Outcome.of_completed(place.run))
            elif status == FAILED:
                self._end(place, Outcome(EXIT_FAILED, FAILED, error=recorded.error))
            elif self._told_by and (place.status == ELSEWHERE or place.run.run_id in self._others):
                self._end(place, Outcome(EXIT_INTERRUPTED, INTERRUPTED))
            elif status == RUNNING:
                if place.status == WAITING:
                    place.status, place.began = RUNNING, time.monotonic()
            elif not gone:
                place.status = WAITING
            elif why is None or self._told_by:
                self._end(place, Outcome(EXIT_INTERRUPTED, INTERRUPTED))
            elif place.run.run_id in self._left:
                given_up.append(place)
            else:
                self._end(place, Outcome(EXIT_FAILED, FAILED, error=why))
        # What became of an earlier command's jobs, a cancellation say, was not meant for this one's cells.
        self._left -= {place.run.run_id for place in given_up}
        self._submit(given_up)

    def _is_new(self, place: Place, recorded: Manifest) -> bool:
        """Whether a manifest is of an attempt that was not there before; a run that is forced begins to count anew."""
        before, now = self._before[place.run.run_id], _attempts(recorded)
        return now[: len(before)] != before or len(now) > len(before)

    def _end(self, place: Place, outcome: Outcome) -> None:
        place.status, place.outcome = outcome.status, outcome
        if place.began:
            place.seconds = time.monotonic() - place.began


def _attempts(recorded: Manifest) -> list[str | None]:
    return [attempt.started for attempt in recorded.attempts]


class Submission:
    """The folder of one submission, and a process in which a plug-in's launcher hands its cells over and waits.

    A process of its own, because Ray takes the one that it was started in along when it dies, and because a launcher
    that waits for a job that is gone may wait for ever. Each cell's experiment is written down as it was checked.
    """

    def __init__(self, places: Sequence[Place], name: str):
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        root = outputs_root(places[0].experiment.folder) / "sweeps" / name
        self.folder = root / f"{stamp}-{os.getpid()}-{len(list(root.glob(f'{stamp}-*')))}"
        root.mkdir(parents=True, exist_ok=True)
        # Closed to others: what the plug-ins put there themselves are pickles, which a job executes.
        self.folder.mkdir(mode=0o700)
        self.log = self.folder / "launcher.log"
        self.places = list(places)
        for number, place in enumerate(places):
            write(self.folder, number, replace(place.experiment, elsewhere=False), place.run.run_id)
        cells = {place.run.run_id: list(place.words) for place in places}
        (self.folder / CELLS).write_text(json.dumps(cells, indent=1) + "\n")

    def start(self, launcher: Any, context: Any, config: DictConfig) -> None:
        """Run `launcher.launch` in a process of its own; its words go to the log."""
        from expctl.cli.scheduler_task import SchedulerTask

        config = copy.deepcopy(config)
        OmegaConf.set_readonly(config, False)
        config.hydra.sweep.dir = str(self.folder)
        launcher.setup(hydra_context=context, task_function=SchedulerTask(self.folder), config=config)
        hear = hear_of_death(os.getpid())
        # What a cell is, its job reads; Hydra needs only a place for what it might write.
        jobs = [[f"hydra.sweep.dir='{self.folder}'"] for _ in self.places]
        self._process = get_context("fork").Process(target=_launch, args=(launcher, jobs, self.log, hear), daemon=True)
        self._process.start()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def last_words(self) -> str:
        """The last line that the launcher said before it ended."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "no word"

    def end(self) -> None:
        """End the process; what it started may know by that."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
            self._process.join(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join(5)


def handed_over(folder: Path) -> list[str]:
    """Ids of the runs of an earlier submission, in the order of its cells."""
    return list(read_json(folder / CELLS) or {})


def _launch(launcher: Any, jobs: list[list[str]], log: Path, hear: Callable[[], None]) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    hear()
    allow_sweep_folder(log.parent)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    launcher.launch(jobs, 0)
