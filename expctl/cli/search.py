"""`expctl -m sweep=optuna`: batches of trials until enough have completed; the same command carries a search on."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.utils import JobReturn

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED
from expctl.base.notice import notice
from expctl.cli.search_plan import Plan
from expctl.cli.sweep import place_of, returned
from expctl.config.sweep_words import key_of
from expctl.launch.preloaded import WORTH_IT, preloader
from expctl.launch.process import Signals
from expctl.report.search_closing import print_search, ranking
from expctl.report.sweep_display import SweepDisplay
from expctl.runs.ledger import Ledger
from expctl.runs.manifest import INTERRUPTED
from expctl.runs.records import LedgerCell
from expctl.search.archive import set_aside
from expctl.search.search import PRUNED, RUN, WORDS
from expctl.search.study import JournalError
from expctl.sweep.cells import Cell
from expctl.sweep.pool import ENDED, Place, Pool
from expctl.sweep.scheduler_pool import SchedulerPool

MOMENT = 1.0  # seconds between two looks at the trials of others
# From the overrides of a batch's trials to what became of them: a launcher.
Launch = Callable[[Sequence[Sequence[str]]], Sequence[JobReturn]]


class Searching:
    """A search from its first trial to its last words."""

    def __init__(self, command: str, plan: Plan):
        self._plan = plan
        self._question = question = plan.question
        if question.force:
            set_aside(question)
        self._search = plan.search()
        file = question.outputs / "sweeps" / f"{question.name}.json"
        self._ledger = Ledger(file, command, question.objective, question.direction)
        self._batch: Sequence[Any] = ()
        self._places: dict[str, Place] = {}
        self._pruned = {entry.run_id for entry in self._search.entries() if entry.status == PRUNED}
        self._preloaded = contextlib.ExitStack()
        self._start: Any = None
        self._stopped = self._fail_fast = self._awaiting = False
        self._unwritten: JournalError | None = None
        self._begun: set[str] = set()

    def run(self, launch: Launch) -> int:
        """All trials; the exit code."""
        with Signals(lambda received, again: None) as signals, self._preloaded:
            try:
                while not (self._stopped or self._failed_fast or signals.received):
                    if not (self._next(launch) or self._await_others()):
                        break
            except JournalError as error:
                self._unwritten = error
            self._stopped |= bool(signals.received)
        return self._close()

    def _next(self, launch: Launch) -> bool:
        """One batch; False when there is none to be run."""
        self._batch = trials = self._search.batch(self._plan.run_id)
        if trials:
            answers = launch([self._search.overrides(trial) for trial in trials])
            for trial, answer in zip(trials, answers, strict=True):
                self._stopped |= not self._search.tell(trial, answer)
        return bool(trials)

    def _await_others(self) -> bool:
        """Whether other commands have trials of this search under way, a moment later: they may leave some to do."""
        others = self._search.elsewhere() if self._search.to_come() > 0 else 0
        if others and not self._awaiting:
            notice(f"{others} of its trials run in another command; waiting for what comes of them (Ctrl-C to leave)")
        self._awaiting = bool(others)
        if others:
            time.sleep(MOMENT)
        return self._awaiting

    @property
    def _failed_fast(self) -> bool:
        return self._fail_fast and self._search.failed > 0

    def __call__(self, cells: Sequence[Cell], settings: dict[str, Any]) -> list[JobReturn]:
        """What a launcher's batch comes to: a trial that is refused does not keep the others from running."""
        self._places, found = {}, []
        self._fail_fast = settings.get("fail_fast", False)
        for cell, trial in zip(cells, self._batch, strict=True):
            place = None if cell.refusals else self._place(replace(cell, words=_words(trial)))
            # A small space is soon sampled twice: the same words are the same run, and what was pruned stays so.
            if place and place.run.run_id in self._pruned:
                place.status = PRUNED
            elif place:
                place = self._places.setdefault(place.run.run_id, place)
            found.append(place)
        self._begun |= self._places.keys()
        self._run(settings)
        return [self._returned(cell, place) for cell, place in zip(cells, found, strict=True)]

    def _place(self, cell: Cell) -> Place:
        """Where the cell is run. `force=true` is for what was there before the search, not for what it has sampled."""
        place = place_of(cell)
        if place.experiment and place.run.run_id in self._begun:
            place.experiment = replace(place.experiment, config=place.experiment.config | {"force": False})
        return place

    def _run(self, settings: dict[str, Any]) -> None:
        places = list(self._places.values())
        before = {entry.run_id: entry for entry in self._search.entries()}
        with SweepDisplay(places) as display:

            def look() -> None:
                display.look()
                self._prune()
                live = {name: replace(before[name], status=place.status) for name, place in self._places.items()}
                self._ledger.write((before | live).values())

            if scheduler := settings.get("scheduler"):
                self._stopped |= bool(SchedulerPool(places, scheduler, look).run())
                return
            start = self._starter(places, settings["preload"])
            pool = Pool(places, n_jobs=settings["n_jobs"], fail_fast=settings["fail_fast"], start=start, look=look)
            self._stopped |= bool(pool.run())

    def _prune(self) -> None:
        """Stop trials without prospect, with a checkpoint: the command that is such a run carries it on."""
        for trial in self._batch:
            place = self._places.get(trial.user_attrs[RUN])
            if place and place.attempt and trial.user_attrs[RUN] not in self._pruned and self._is_hopeless(trial):
                self._pruned.add(trial.user_attrs[RUN])
                place.attempt.stop(PRUNED, at_once=False)

    def _is_hopeless(self, trial: Any) -> bool:
        try:
            return self._search.hopeless(trial)
        except JournalError:
            return False  # its end is to be written there as well, and says what is wrong

    def _starter(self, places: Sequence[Place], wanted: bool | None) -> Any:
        """How workers are started: by one process for the whole search, which is longer than its batches."""
        if self._start is None:
            to_do = [(place.run, place.experiment) for place in places if place.status not in ENDED]
            if wanted is None and self._search.to_come() >= WORTH_IT:
                wanted = True
            start = self._preloaded.enter_context(preloader(to_do, wanted))
            if not to_do:
                return start
            self._start = start
        return self._start

    def _returned(self, cell: Cell, place: Place | None) -> JobReturn:
        if place is None:
            return returned(cell, error=f"refused: {cell.refusals[0].what}")
        if place.status == INTERRUPTED and place.run.run_id in self._pruned:
            place.status = PRUNED
        return returned(cell, place, error=(place.outcome and place.outcome.error) or place.status)

    def _close(self) -> int:
        entries = self._search.entries()
        best = best_of(entries, self._question.direction)
        again = shlex.join(self._again(best)) if best else None
        found = {"best": best, "again": again}
        why = self._why_stopped()
        self._ledger.write(entries, ended=not why, **found)
        print_search(entries, self._question, self._ledger.path, again, stopped=why)
        if self._unwritten or self._failed_fast:
            return EXIT_FAILED
        if self._stopped:
            return EXIT_INTERRUPTED
        return EXIT_COMPLETED if best else EXIT_FAILED

    def _why_stopped(self) -> str | None:
        if self._unwritten:
            file, why = self._unwritten.filename, self._unwritten.strerror
            print(
                f"expctl: the search cannot be kept: {why}\n  where    {file}\n"
                "  do       make room there; what has finished is not done again",
                file=sys.stderr,
            )
            return "stopped, since its journal cannot be written"
        if self._failed_fast:
            return "stopped at the first failure (fail_fast=true)"
        return "stopped" if self._stopped else None

    def _again(self, best: LedgerCell) -> list[str]:
        """The command that is the best trial's run."""
        question = self._question
        folders = [f"--config-dir={folder}" for folder in question.example.config_dirs]
        words = [word.removeprefix("++") for word in question.fixed if key_of(word) != "force"]
        return ["expctl", *folders, *words, *best.words]


def best_of(entries: Sequence[LedgerCell], direction: str) -> LedgerCell | None:
    """The trial with the best objective, the first of equals."""
    ranked = ranking(entries, direction)
    return ranked[0] if ranked else None


def _words(trial: Any) -> tuple[str, ...]:
    return (f"trial {trial.number}:", *trial.user_attrs[WORDS])
