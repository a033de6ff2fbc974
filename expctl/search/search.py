"""A search: trials that Optuna proposes, each a job like any other, until enough of them have completed."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.runs.manifest import COMPLETED, CREATED, FAILED, INTERRUPTED, RUNNING
from expctl.runs.records import LedgerCell, Summary
from expctl.search import space as spaces
from expctl.search.pruning import Pruning
from expctl.search.question import Question
from expctl.sweep.job import PRUNED, WAITING, SweepJob

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

# What a trial keeps in the study besides its values.
WORDS, RUN, ERROR = "words", "run", "error"
# Optuna's state of a trial that has ended -> the status that the ledger has.
STATUSES = {"COMPLETE": COMPLETED, "FAIL": FAILED, "PRUNED": PRUNED}


class Search:
    """Asks a study for trials and tells it their results.

    A trial that was under way when a search was killed is the first to be run again: its run resumes from its
    checkpoint. One whose run is alive, in another command or on another machine, is left to that command. For a trial
    that failed another is run, but only in the next command, so that one ends also where all trials fail. `failed`
    counts those of this command.
    """

    def __init__(self, question: Question, study: "Study", *, n_trials: int, at_once: int):
        self.question = question
        self._study = study
        self._n_trials = n_trials
        self._at_once = at_once
        self.failed = 0
        self._pruning = Pruning(study, question.objective)

    def batch(self, run_id: Callable[[Sequence[str]], str]) -> list["FrozenTrial"]:
        """The trials to be run next, none when the search is at its end. `run_id`: from overrides to a run's id."""
        under_way = self._under_way()
        left = [trial for trial in under_way if not self._alive(trial)]
        size = min(self._at_once, self.to_come() - (len(under_way) - len(left)))
        taken = left[: max(size, 0)]
        return [*taken, *(self._ask(run_id) for _ in range(size - len(taken)))]

    def running_in_other_commands(self) -> int:
        """Trials that run in another command, or in jobs that a killed one has left."""
        return sum(map(self._alive, self._under_way()))

    def to_come(self) -> int:
        """Trials still to be completed or pruned."""
        ended = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in self._trials())
        return self._n_trials - ended - self.failed

    def hopeless(self, trial: "FrozenTrial") -> bool:
        """Whether a running trial is to be stopped, by what its run has logged so far."""
        return self._pruning.hopeless(trial._trial_id, self._run(trial))

    def overrides(self, trial: "FrozenTrial") -> tuple[str, ...]:
        """The overrides of a trial's job."""
        return (*self.question.fixed, *trial.user_attrs[WORDS])

    def tell(self, trial: "FrozenTrial", job: SweepJob) -> bool:
        """Keep the result of a trial; False when its job was interrupted, and so has not ended."""
        from optuna.trial import Trial, TrialState

        if job.status == INTERRUPTED:
            return False
        if job.status == PRUNED:
            self._study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
            return True
        if job.status == COMPLETED and _is_finite(job.objective):
            self._study.tell(trial.number, job.objective, skip_if_finished=True)
            return True
        error = job.error or job.status
        if job.status == COMPLETED:
            error = f"no finite number for {self.question.objective}: {job.objective}"
        if self._study.trials[trial.number].state == TrialState.RUNNING:
            Trial(self._study, trial._trial_id).set_user_attr(ERROR, error)
        self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        self.failed += 1
        return True

    def entries(self) -> list[LedgerCell]:
        """Every trial so far, also of earlier commands."""
        return [self._entry(trial) for trial in self._trials()]

    def _entry(self, trial: "FrozenTrial") -> LedgerCell:
        status = STATUSES.get(trial.state.name) or self._status_of_run(trial) or WAITING
        objective = trial.value
        if status == COMPLETED and objective is None:  # the study has not been told yet
            summary = Summary.read(self._run(trial).summary)
            objective = summary.objective if summary else None
            status = COMPLETED if _is_finite(objective) else WAITING
        return LedgerCell(
            run_id=trial.user_attrs[RUN],
            words=[word.lstrip("+") for word in trial.user_attrs[WORDS]],
            status=status,
            objective=objective,
            error=trial.user_attrs.get(ERROR),
            trial=trial.number,
        )

    def _ask(self, run_id: Callable[[Sequence[str]], str]) -> "FrozenTrial":
        trial = self._study.ask(dict(self.question.space))
        words = [spaces.word(key, trial.params[key]) for key in self.question.space]
        trial.set_user_attr(WORDS, words)
        trial.set_user_attr(RUN, run_id([*self.question.fixed, *words]))
        return self._study.trials[trial.number]

    def _trials(self) -> list["FrozenTrial"]:
        """The trials that were recorded whole; a command may have been killed while it asked for one."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if RUN in trial.user_attrs]

    def _under_way(self) -> list["FrozenTrial"]:
        return [trial for trial in self._trials() if trial.state.name == "RUNNING"]

    def _alive(self, trial: "FrozenTrial") -> bool:
        return self._status_of_run(trial) in (RUNNING, CREATED)

    def _status_of_run(self, trial: "FrozenTrial") -> str | None:
        """The status in the manifest of a trial's run."""
        recorded = manifest.read(self._run(trial))
        return recorded.status if recorded else None

    def _run(self, trial: "FrozenTrial") -> Run:
        return Run(self.question.outputs / trial.user_attrs[RUN])


def ranking(entries: Sequence[LedgerCell], direction: str) -> list[LedgerCell]:
    """The completed trials, the best first."""
    completed = [entry for entry in entries if entry.status == COMPLETED]
    return sorted(completed, key=lambda entry: entry.objective or 0.0, reverse=direction == "maximize")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
