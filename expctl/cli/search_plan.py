"""A search before it begins: what it is about, and whether any of its trials could be started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.refusal import Refusal
from expctl.cli.sweep import place_of, refuse_cells
from expctl.search.question import Question
from expctl.search.search import Search
from expctl.search.study import open_study
from expctl.sweep.cells import Cell, Composer

# Trials that are checked before a search begins.
MOST_DRAWN = 50


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
