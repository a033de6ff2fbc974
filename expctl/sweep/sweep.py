"""A batch of a sweep's jobs: all are checked before the first one starts, then each goes the way of an experiment."""

import contextlib
from collections.abc import Sequence

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from expctl.runs.ledger import Ledger, sweep_id
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, REFUSED
from expctl.sweep.check import any_refused, refuse_jobs, say_experimental
from expctl.sweep.command import SweepCommand
from expctl.sweep.finished import Finished
from expctl.sweep.job import SweepJob, objective_of, shared_overrides
from expctl.sweep.runners import Runner


def run_jobs(jobs: Sequence[SweepJob], runner: Runner, command: SweepCommand, finished: Finished) -> int:
    """Run all jobs, or refuse all if one cannot be started; the exit code.

    The ledger follows them, and `finished` gets to know those that completed.
    """
    if any_refused(jobs):
        return refuse_jobs(jobs)
    say_experimental(jobs)
    ledger = ledger_of(jobs, command.typed)
    ledger.write(job.cell() for job in jobs)
    with contextlib.closing(runner), command.display(jobs) as display:

        def look() -> None:
            display.look()
            ledger.write(job.cell() for job in jobs)

        runner.run(jobs, look)
    ledger.write((job.cell() for job in jobs), ended=not runner.interrupted)
    command.print_results(jobs, ledger.path)
    for job in jobs:
        if job.status == COMPLETED and job.experiment is not None and not job.forced:
            finished.remember(job.overrides, job.run.folder)
    finished.save()
    return exit_code(jobs)


def ledger_of(jobs: Sequence[SweepJob], typed: str) -> Ledger:
    """The ledger of a grid: the same one for the same fixed words and the same keys that vary."""
    shared = shared_overrides([job.overrides for job in jobs])
    varied = {word for job in jobs for word in job.overrides} - shared
    algorithms = [job.run.run_id.split("-")[0] for job in jobs]
    path = jobs[0].run.folder.parent / "sweeps" / f"{sweep_id(algorithms, shared, varied)}.json"
    return Ledger(path, typed, *objective_of(jobs[0]))


def exit_code(jobs: Sequence[SweepJob]) -> int:
    """What came of all jobs: a failure outweighs an interruption, an interruption a refusal."""
    statuses = {job.status for job in jobs}
    if FAILED in statuses:
        return EXIT_FAILED
    if INTERRUPTED in statuses:
        return EXIT_INTERRUPTED
    return EXIT_REFUSED if REFUSED in statuses else EXIT_COMPLETED
