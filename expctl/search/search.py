"""A search: trials that Optuna proposes, each a cell like any other, until enough of them have completed."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus

from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.runs.manifest import COMPLETED, CREATED, FAILED, INTERRUPTED, RUNNING
from expctl.runs.records import LedgerCell, Summary
from expctl.search import space as spaces
from expctl.search.pruning import Pruning
from expctl.search.question import Question

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

# What a trial keeps in the study besides its values.
WORDS, RUN, ERROR = "words", "run", "error"
WAITING, PRUNED = "waiting", "pruned"


class Search:
    """Asks a study for trials, has them run, and tells it what came of them.

    A trial that was under way when a search was killed is the first to be taken up again: its run carries on from its
    checkpoint. One whose run is alive, in another command or on another machine, is left to that one. Trials that
    failed are made up for by others, but only once in a command, so that it ends also where all of them fail. `failed`
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
        """The trials to be run next, none when the search is at its end; `run_id`: of a job's overrides."""
        under_way = self._under_way()
        left = [trial for trial in under_way if not self._alive(trial)]
        size = min(self._at_once, self.to_come() - (len(under_way) - len(left)))
        taken = left[: max(size, 0)]
        return [*taken, *(self._ask(run_id) for _ in range(size - len(taken)))]

    def elsewhere(self) -> int:
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
        return (*self.question.fixed, *trial.user_attrs[WORDS])

    def tell(self, trial: "FrozenTrial", answer: JobReturn) -> bool:
        """Keep what came of a trial; False when it was interrupted, and so has not ended."""
        from optuna.trial import Trial, TrialState

        failure = None if answer.status == JobStatus.COMPLETED else answer._return_value  # the property would print
        if failure is None and _is_finite(answer.return_value):
            self._study.tell(trial.number, float(answer.return_value), skip_if_finished=True)
            return True
        if getattr(failure, "status", None) == PRUNED:
            self._study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
            return True
        if getattr(failure, "status", None) == INTERRUPTED:
            return False
        if failure is None:
            failure = f"no finite number for {self.question.objective}: {answer.return_value}"
        if self._study.trials[trial.number].state == TrialState.RUNNING:
            Trial(self._study, trial._trial_id).set_user_attr(ERROR, str(failure))
        self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        self.failed += 1
        return True

    def entries(self) -> list[LedgerCell]:
        """Every trial so far, also of earlier commands."""
        found = []
        for trial in self._trials():
            ended = {"COMPLETE": COMPLETED, "FAIL": FAILED, "PRUNED": PRUNED}.get(trial.state.name)
            status, value, error = ended or self._told(trial) or WAITING, trial.value, trial.user_attrs.get(ERROR)
            if status == COMPLETED and value is None:  # the study has not been told yet
                summary = Summary.read(self._run(trial).summary)
                value = summary.objective if summary else None
                status = COMPLETED if _is_finite(value) else WAITING
            words = [word.lstrip("+") for word in trial.user_attrs[WORDS]]
            found.append(
                LedgerCell(
                    words=words,
                    run_id=trial.user_attrs[RUN],
                    status=status,
                    objective=value,
                    error=error,
                    trial=trial.number,
                )
            )
        return found

    def _ask(self, run_id: Callable[[Sequence[str]], str]) -> "FrozenTrial":
        trial = self._study.ask(dict(self.question.space))
        words = [spaces.word(key, trial.params[key]) for key in self.question.space]
        trial.set_user_attr(WORDS, words)
        trial.set_user_attr(RUN, run_id([*self.question.fixed, *words]))
        return self._study.trials[trial.number]

    def _trials(self) -> list["FrozenTrial"]:
        """Those that were asked for to the end; a command may have been killed in the middle of one."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if RUN in trial.user_attrs]

    def _under_way(self) -> list["FrozenTrial"]:
        return [trial for trial in self._trials() if trial.state.name == "RUNNING"]

    def _alive(self, trial: "FrozenTrial") -> bool:
        return self._told(trial) in (RUNNING, CREATED)

    def _told(self, trial: "FrozenTrial") -> str | None:
        """The status in the manifest of a trial's run."""
        recorded = manifest.read(self._run(trial))
        return recorded.status if recorded else None

    def _run(self, trial: "FrozenTrial") -> Run:
        return Run(self.question.outputs / trial.user_attrs[RUN])


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
