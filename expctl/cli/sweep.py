"""`expctl -m`: all cells are checked before the first one starts, then each goes the way of a single experiment."""

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from expctl.cli.refuse import as_refusals
from expctl.launch.launch import Outcome
from expctl.launch.preflight import preflights
from expctl.launch.preloaded import preloader
from expctl.report.sweep_closing import print_results
from expctl.report.sweep_display import SweepDisplay, called
from expctl.runs.files import Run
from expctl.runs.identity import run_of
from expctl.runs.ledger import Ledger, sweep_id
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, REFUSED
from expctl.runs.records import LedgerCell
from expctl.sweep.cells import Cell
from expctl.sweep.pool import ENDED, Place, Pool, objective_of
from expctl.sweep.scheduler_pool import SchedulerPool


class CellError(Exception):
    """A cell of a sweep did not complete; a sweeper that searches may go on."""

    def __init__(self, text: str, status: str):
        super().__init__(text)
        self.status = status


class Check:
    """What `check -m` does with the cells: say which can be started. Nothing is created."""

    def __init__(self, *, full: bool = False) -> None:
        self.code = EXIT_COMPLETED
        self._full = full

    def __call__(self, cells: Sequence[Cell], settings: dict[str, Any]) -> list[JobReturn]:
        if self._full:
            take_preflights(cells)
        for cell in cells:
            if not cell.refusals:
                print(f"ok  {place_of(cell).run.run_id}")
        if any(cell.refusals for cell in cells):
            self.code = refuse_cells(cells)
        return [returned(cell, error="only checked") for cell in cells]

    def search(self, plan: Any, launch: Any) -> None:
        from expctl.cli.search_plan import check_trials

        self.code = check_trials(plan)


class Sweep:
    """What `-m` does with each batch of cells that a sweeper makes; `code` is what came of all."""

    def __init__(self, words: list[str]):
        self._command = shlex.join(["expctl", *words])
        self.code = EXIT_COMPLETED
        self._searching: Any = None

    def search(self, plan: Any, launch: Any) -> None:
        """What a sweeper calls that searches; its batches come back to `__call__` by way of the launcher."""
        from expctl.cli.search import Searching
        from expctl.cli.search_plan import refuse_hopeless

        self.code = refuse_hopeless(plan)
        if self.code == EXIT_COMPLETED:
            self._searching = Searching(self._command, plan)
            self.code = self._searching.run(launch)

    def __call__(self, cells: Sequence[Cell], settings: dict[str, Any]) -> list[JobReturn]:
        if self._searching:
            return self._searching(cells, settings)
        if any(cell.refusals for cell in cells):
            self.code = self.code or refuse_cells(cells)
            return [returned(cell, error="refused") for cell in cells]
        places = [place_of(cell) for cell in cells]
        ledger = self._ledger(cells, places)
        ledger.write(entries(places))
        with SweepDisplay(places) as display:

            def look() -> None:
                display.look()
                ledger.write(entries(places))

            if scheduler := settings.get("scheduler"):
                received = SchedulerPool(places, scheduler, look).run()
            else:
                received = _side_by_side(places, settings, look)
        ledger.write(entries(places), ended=not received)
        print_results(places, ledger.path)
        for cell, place in zip(cells, places, strict=True):
            if place.status == COMPLETED and cell.experiment and not cell.experiment.config["force"]:
                settings["finished"].remember(cell.overrides, place.run.folder)
        settings["finished"].save()
        self.code = self.code or _exit_code(places)
        return [returned(cell, place) for cell, place in zip(cells, places, strict=True)]

    def _ledger(self, cells: Sequence[Cell], places: Sequence[Place]) -> Ledger:
        varied = {word for cell in cells for word in cell.words}
        algorithms = [place.run.run_id.split("-")[0] for place in places]
        name = sweep_id(algorithms, set(cells[0].overrides) - varied, varied)
        path = places[0].run.folder.parent / "sweeps" / f"{name}.json"
        return Ledger(path, self._command, *objective_of(places[0]))


def _side_by_side(places: Sequence[Place], settings: dict[str, Any], look: Callable[[], None]) -> str | None:
    """All cells on this machine; the signal that broke it off, if one did."""
    to_do = [(place.run, place.experiment) for place in places if place.status not in ENDED]
    with preloader(to_do, settings["preload"]) as start:
        pool = Pool(places, n_jobs=settings["n_jobs"], fail_fast=settings["fail_fast"], start=start, look=look)
        return pool.run()


def take_preflights(cells: Sequence[Cell]) -> None:
    """The full check of those cells that are to be run and that the quick one accepts; what is wrong joins the cell."""
    to_check = [cell for cell in cells if cell.experiment and not cell.refusals]
    for cell, found in zip(to_check, preflights(cell.experiment for cell in to_check), strict=True):
        cell.refusals.extend(as_refusals(found["wrong"] if found else [], cell.experiment.sources))


def place_of(cell: Cell) -> Place:
    """Where a cell's run is or is to be."""
    if cell.done:
        run = Run(cell.done)
        return Place(typed(cell), None, run, status=COMPLETED, outcome=Outcome.of_completed(run))
    return Place(typed(cell), cell.experiment, run_of(cell.experiment))


def typed(cell: Cell) -> tuple[str, ...]:
    """The words that set a cell apart, as a person types them."""
    return tuple(word.lstrip("+") for word in cell.words)


def entries(places: Sequence[Place]) -> list[LedgerCell]:
    cells = []
    for place in places:
        outcome = place.outcome
        objective, error = (outcome.objective, outcome.error) if outcome else (None, None)
        cells.append(
            LedgerCell(
                words=list(place.words),
                run_id=place.run.run_id,
                status=place.status,
                objective=objective,
                error=error,
            )
        )
    return cells


def returned(cell: Cell, place: Place | None = None, error: str | None = None) -> JobReturn:
    """A cell's result as Hydra's sweepers want it."""
    answer = JobReturn(overrides=list(cell.overrides), status=JobStatus.FAILED)
    if place is not None and place.status == COMPLETED:
        answer.status = JobStatus.COMPLETED
        answer.return_value = place.outcome.objective
    else:
        error = error or f"{called(place)}: {place.outcome.error or place.status}"
        answer.return_value = CellError(error, place.status if place else FAILED)
    return answer


def _exit_code(places: Sequence[Place]) -> int:
    statuses = {place.status for place in places}
    if FAILED in statuses:
        return EXIT_FAILED
    if INTERRUPTED in statuses:
        return EXIT_INTERRUPTED
    return EXIT_REFUSED if REFUSED in statuses else EXIT_COMPLETED


def refuse_cells(cells: Sequence[Cell], *, most: int = 10, so: str = ", so none is") -> int:
    """One table of what is wrong with which cells, the same refusal once; the exit code of a refusal."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        for refusal in cell.refusals:
            found.setdefault(str(refusal), []).append(cell)
    wrong = sum(bool(cell.refusals) for cell in cells)
    print(f"expctl: {wrong} of {len(cells)} cells cannot be started{so}\n", file=sys.stderr)
    for text, those in list(found.items())[:most]:
        print(text, file=sys.stderr)
        named = [" ".join(typed(cell)) or "(every cell)" for cell in those]
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        print(f"  cells    {'; '.join(named[:3])}{more}\n", file=sys.stderr)
    if len(found) > most:
        print(f"expctl: and {len(found) - most} more", file=sys.stderr)
    return EXIT_REFUSED
