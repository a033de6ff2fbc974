"""`expctl -m sweep=optuna`: batches of trials until enough have completed; the same command carries a search on."""

import contextlib
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.utils import JobReturn

from expctl.cli.sweep import place_of, refuse_cells, returned
from expctl.config.cells import Cell, Composer
from expctl.config.refusal import Refusal
from expctl.config.sweep_words import key_of
from expctl.launch.elsewhere import Elsewhere
from expctl.launch.pool import ENDED, Place, Pool
from expctl.launch.preloaded import WORTH_IT, preloader
from expctl.launch.process import Signals
from expctl.report.search_closing import print_search, ranking
from expctl.report.sweep_display import SweepDisplay
from expctl.runs.ledger import Ledger
from expctl.runs.manifest import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED, INTERRUPTED
from expctl.search.aside import set_aside
from expctl.search.question import Question
from expctl.search.search import PRUNED, RUN, WORDS, Search, TrialEntry
from expctl.search.study import JournalError, open_study

# Trials that are checked before a search begins.
MOST_DRAWN = 50
# From the overrides of a batch's trials to what became of them: a launcher.
Launch = Callable[[Sequence[Sequence[str]]], Sequence[JobReturn]]


@dataclass(frozen=True)
class Plan:
    """A search as its sweeper was told of it."""

    question: Question
    composer: Composer
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any] | None
    n_trials: int
    at_once: int

    def run_id(self, overrides: Sequence[str]) -> str:
        [cell] = self.composer.cells([overrides])
        return place_of(cell).run.run_id

    def search(self) -> Search:
        journal = self.question.outputs / "sweeps" / f"{self.question.name}.journal"
        try:
            study = open_study(journal, self.question.direction, self.sampler, self.pruner)
        except OSError as error:
            where = str(error.filename or journal)
            raise Refusal(f"the search cannot be kept: {error.strerror}", where=where) from error
        return Search(self.question, study, n_trials=self.n_trials, at_once=self.at_once)

    def drawn(self) -> list[Cell]:
        """Trials such as a search begins with; nothing is created."""
        study = open_study(None, self.question.direction, self.sampler)
        drawn = Search(self.question, study, n_trials=min(self.n_trials, MOST_DRAWN), at_once=MOST_DRAWN)
        return self.composer.cells([drawn.overrides(trial) for trial in drawn.batch(lambda overrides: "drawn")])


def check_trials(plan: Plan) -> int:
    """What the first trials would be; the exit code is that of a refusal only when none of them can be started."""
    cells = plan.drawn()
    wrong = sum(bool(cell.refusals) for cell in cells)
    code = refuse_cells(cells, so="; in a search each would count as a failed trial") if wrong else EXIT_COMPLETED
    print(f"{len(cells) - wrong} of {len(cells)} trials can be started, of a search as it would begin")
    return code if wrong == len(cells) else EXIT_COMPLETED


def refuse_hopeless(plan: Plan) -> int:
    """Refuse a search of which no trial could be started; an exit code."""
    cells = plan.drawn()
    if all(cell.refusals for cell in cells):
        return refuse_cells(cells, so=", so the search is not begun")
    return EXIT_COMPLETED


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
        self._stopped = self._fail_fast = False
        self._unwritten: JournalError | None = None
        self._begun: set[str] = set()

    def run(self, launch: Launch) -> int:
        """All trials; the exit code."""
        with Signals(lambda received, again: None) as signals, self._preloaded:
            try:
                while not (self._stopped or self._failed_fast or signals.received) and self._next(launch):
                    pass
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
                self._stopped |= bool(Elsewhere(places, scheduler, look).run())
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
        found = {"best": vars(best) if best else None, "again": again}
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

    def _again(self, best: TrialEntry) -> list[str]:
        """The command that is the best trial's run."""
        question = self._question
        folders = [f"--config-dir={folder}" for folder in question.example.config_dirs]
        words = [word.removeprefix("++") for word in question.fixed if key_of(word) != "force"]
        return ["expctl", *folders, *words, *best.words]


def best_of(entries: Sequence[TrialEntry], direction: str) -> TrialEntry | None:
    """The trial with the best objective, the first of equals."""
    ranked = ranking(entries, direction)
    return ranked[0] if ranked else None


def _words(trial: Any) -> tuple[str, ...]:
    return (f"trial {trial.number}:", *trial.user_attrs[WORDS])
