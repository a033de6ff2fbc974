"""Trials that have no prospect, found by the evaluations in their metrics while they train."""

from typing import TYPE_CHECKING

from expctl.runs.files import Run, read_metrics

if TYPE_CHECKING:
    from optuna import Study


class Pruning:
    """Reports evaluations to the study's pruner, which compares them with those of the other trials."""

    def __init__(self, study: "Study", objective: str):
        self._study = study
        self._objective = objective
        self._read: dict[int, int] = {}

    def hopeless(self, trial_id: int, run: Run) -> bool:
        """Whether the pruner would stop the trial, by what its run has logged so far."""
        from optuna.trial import Trial

        size = run.metrics.stat().st_size if run.metrics.exists() else 0
        if size == self._read.get(trial_id, 0):
            return False
        self._read[trial_id] = size
        trial = Trial(self._study, trial_id)
        known = self._study._storage.get_trial(trial_id).intermediate_values
        new = [row for row in read_metrics(run.metrics) if self._objective in row and row["step"] not in known]
        for row in new:
            trial.report(row[self._objective], row["step"])
        return bool(new) and trial.should_prune()
