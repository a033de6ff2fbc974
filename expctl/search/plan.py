"""A search before it begins: what it is about, and whether any of its trials could be started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.refusal import Refusal
from expctl.runs.identity import run_of
from expctl.search.question import Question
from expctl.search.search import Search
from expctl.search.study import open_study
from expctl.sweep.check import refuse_jobs
from expctl.sweep.composer import Composer
from expctl.sweep.job import Refused, SweepJob

# Trials that are checked before a search begins.
MOST_DRAWN = 50


@dataclass(frozen=True)
class Plan:
    """A search as the config of its sweeper describes it."""

    question: Question
    composer: Composer
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any] | None
    n_trials: int
    at_once: int

    def run_id(self, overrides: Sequence[str]) -> str:
        """Id of the run of a trial, also of one that would be refused."""
        return run_of(self.composer.compose(overrides)).run_id

    def search(self) -> Search:
        """The search, begun or carried on.

        Raises:
            Refusal: what it is to remember cannot be written.
        """
        journal = self.question.outputs / "sweeps" / f"{self.question.name}.journal"
        try:
            study = open_study(journal, self.question.direction, self.sampler, self.pruner)
        except OSError as error:
            where = str(error.filename or journal)
            raise Refusal(f"the search cannot be kept: {error.strerror}", where=where) from error
        return Search(self.question, study, n_trials=self.n_trials, at_once=self.at_once)

    def drawn(self) -> list[SweepJob]:
        """Trials such as a search begins with; nothing is created."""
        study = open_study(None, self.question.direction, self.sampler)
        drawn = Search(self.question, study, n_trials=min(self.n_trials, MOST_DRAWN), at_once=MOST_DRAWN)
        return self.composer.jobs([drawn.overrides(trial) for trial in drawn.batch(lambda overrides: "drawn")])


def check_trials(plan: Plan) -> int:
    """Print which of the first trials could be started; the exit code is that of a refusal only when none can."""
    jobs = plan.drawn()
    refused = sum(isinstance(job.state, Refused) for job in jobs)
    code = refuse_jobs(jobs, so="; in a search each would count as a failed trial") if refused else EXIT_COMPLETED
    print(f"{len(jobs) - refused} of {len(jobs)} trials can be started, of a search as it would begin")
    return code if refused == len(jobs) else EXIT_COMPLETED


def refuse_hopeless(plan: Plan) -> int:
    """Refuse a search of which no trial could be started; an exit code."""
    jobs = plan.drawn()
    if all(isinstance(job.state, Refused) for job in jobs):
        return refuse_jobs(jobs, so=", so the search is not begun")
    return EXIT_COMPLETED
