"""A search from its first trial to its last words: batches of trials until enough of them have completed."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED
from expctl.base.notice import notice
from expctl.base.words import key_of
from expctl.runs.ledger import Ledger
from expctl.runs.manifest import INTERRUPTED, REFUSED
from expctl.runs.records import LedgerCell
from expctl.search.archive import archive
from expctl.search.plan import Plan
from expctl.search.search import RUN, WORDS, ranking
from expctl.search.study import JournalError
from expctl.sweep.command import SweepCommand
from expctl.sweep.job import PRUNED, RunningHere, SweepJob, Waiting
from expctl.sweep.runners import Runner

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

OTHERS_SECONDS = 1.0  # between two looks at the trials of other commands


class Searching:
    """Runs a search; the same command carries on one that was broken off."""

    def __init__(self, command: SweepCommand, plan: Plan, runner: Runner):
        self._command = command
        self._plan = plan
        self._runner = runner
        self._question = question = plan.question
        if question.force:
            archive(question)
        self._search = plan.search()
        file = question.outputs / "sweeps" / f"{question.name}.json"
        self._ledger = Ledger(file, command.typed, question.objective, question.direction)
        # Ids of runs: of those that the pruner has stopped, and of those that this command has begun.
        self._pruned = {entry.run_id for entry in self._search.entries() if entry.status == PRUNED}
        self._begun: set[str] = set()
        self._stopped = self._awaiting = False
        self._unwritten: JournalError | None = None

    def run(self) -> int:
        """Run all trials; the exit code."""
        with self._runner:
            try:
                while not (self._stopped or self._failed_fast or self._runner.interrupted):
                    if not (self._run_batch() or self._await_others()):
                        break
            except JournalError as error:
                self._unwritten = error
            self._stopped |= self._runner.interrupted
        return self._close()

    @property
    def _failed_fast(self) -> bool:
        return self._runner.fail_fast and self._search.failed > 0

    def _run_batch(self) -> bool:
        """Run the next trials; False when there is none. One that is refused does not keep the others from running."""
        trials = self._search.batch(self._plan.run_id)
        if not trials:
            return False
        jobs = self._jobs(trials)
        to_run = {job.run.run_id: job for job in jobs if job.status not in (REFUSED, PRUNED)}
        self._begun |= to_run.keys()
        self._run_jobs(to_run, trials)
        for trial, job in zip(trials, jobs, strict=True):
            if job.status == INTERRUPTED and job.run.run_id in self._pruned:
                job.prune()
            self._stopped |= not self._search.tell(trial, job)
        return True

    def _jobs(self, trials: Sequence["FrozenTrial"]) -> list[SweepJob]:
        """The job of each trial. A small space is soon sampled twice: the same words are the same run, and one job."""
        by_run: dict[str, SweepJob] = {}
        jobs = []
        composed = self._plan.composer.jobs([self._search.overrides(trial) for trial in trials])
        for trial, job in zip(trials, composed, strict=True):
            job.words = (f"trial {trial.number}:", *(word.lstrip("+") for word in trial.user_attrs[WORDS]))
            if job.status != REFUSED:
                job = by_run.setdefault(job.run.run_id, job)
                self._prepare(job)
            jobs.append(job)
        return jobs

    def _prepare(self, job: SweepJob) -> None:
        """What was pruned stays so. `force=true` is for runs from before the search, not for what it has sampled."""
        if job.run.run_id in self._pruned:
            job.prune()
        elif isinstance(job.state, Waiting) and job.run.run_id in self._begun:
            job.state = Waiting(job.state.experiment.unforced(), job.run)

    def _run_jobs(self, jobs: Mapping[str, SweepJob], trials: Sequence["FrozenTrial"]) -> None:
        """Run a batch, by run id; the display, the ledger and the pruner follow it."""
        before = {entry.run_id: entry for entry in self._search.entries()}
        with self._command.display(list(jobs.values())) as display:

            def look() -> None:
                display.look()
                self._prune(jobs, trials)
                live = {run_id: replace(before[run_id], status=job.status) for run_id, job in jobs.items()}
                self._ledger.write((before | live).values())

            self._runner.run(list(jobs.values()), look, to_come=self._search.to_come())

    def _prune(self, jobs: Mapping[str, SweepJob], trials: Sequence["FrozenTrial"]) -> None:
        """Stop trials without prospect, with a checkpoint: the command that is such a run carries it on."""
        for trial in trials:
            run_id = trial.user_attrs[RUN]
            job = jobs.get(run_id)
            if job is None or run_id in self._pruned or not isinstance(job.state, RunningHere):
                continue
            if self._is_hopeless(trial):
                self._pruned.add(run_id)
                job.state.attempt.stop(PRUNED, at_once=False)

    def _is_hopeless(self, trial: "FrozenTrial") -> bool:
        try:
            return self._search.hopeless(trial)
        except JournalError:
            return False  # its end is to be written there as well, and says what is wrong

    def _await_others(self) -> bool:
        """Whether other commands have trials of this search under way, a moment later: they may leave some to do."""
        others = self._search.running_in_other_commands() if self._search.to_come() > 0 else 0
        if others and not self._awaiting:
            notice(f"{others} of its trials run in another command; waiting for what comes of them (Ctrl-C to leave)")
        self._awaiting = bool(others)
        if others:
            time.sleep(OTHERS_SECONDS)
        return self._awaiting

    def _close(self) -> int:
        """Write the ledger's last state and print the last words; the exit code."""
        entries = self._search.entries()
        ranked = ranking(entries, self._question.direction)
        best = ranked[0] if ranked else None
        again = shlex.join(self._again(best)) if best else None
        why = self._why_stopped()
        self._ledger.write(entries, ended=not why, best=best, again=again)
        self._command.print_search(entries, self._question, self._ledger.path, again, stopped=why)
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
