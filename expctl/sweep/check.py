"""Whether the jobs of a sweep can be started, and one table of what is wrong with which."""

import sys
from collections.abc import Sequence

from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_REFUSED
from expctl.base.notice import notice_once
from expctl.base.refusal import as_refusals
from expctl.config.experimental import experimental_notes
from expctl.launch.preflight import preflights
from expctl.sweep.job import Refused, SweepJob, Waiting

MOST_REFUSALS, MOST_NAMES = 10, 3


def check_jobs(jobs: Sequence[SweepJob], *, full: bool) -> int:
    """Print which jobs can be started, and what is wrong with the others; the exit code. Nothing is created.

    `full`: ask the libraries too, about those that the quick check accepts.
    """
    if full:
        preflight_jobs(jobs)
    say_experimental(jobs)
    for job in jobs:
        if not isinstance(job.state, Refused):
            print(f"ok  {job.run.run_id}")
    return refuse_jobs(jobs) if any_refused(jobs) else EXIT_COMPLETED


def preflight_jobs(jobs: Sequence[SweepJob]) -> None:
    """The full check of the jobs that are to be run; those that it finds wrong are refused."""
    waiting = [(job, job.state.experiment) for job in jobs if isinstance(job.state, Waiting)]
    answers = preflights(experiment for _, experiment in waiting)
    for (job, experiment), answer in zip(waiting, answers, strict=True):
        refusals = as_refusals(answer["wrong"] if answer else [], experiment.sources)
        if refusals:
            job.state = Refused(tuple(refusals))


def say_experimental(jobs: Sequence[SweepJob]) -> None:
    """Name the algorithms among the jobs that are experimental in TRL, each once."""
    for job in jobs:
        for note in experimental_notes(job.experiment) if job.experiment else []:
            notice_once(note)


def any_refused(jobs: Sequence[SweepJob]) -> bool:
    """Whether some of the jobs cannot be started."""
    return any(isinstance(job.state, Refused) for job in jobs)


def refuse_jobs(jobs: Sequence[SweepJob], *, so: str = ", so none is") -> int:
    """Print what is wrong with which jobs, the same refusal once; the exit code of a refusal."""
    refused = [(job, job.state.refusals) for job in jobs if isinstance(job.state, Refused)]
    names: dict[str, list[str]] = {}
    for job, refusals in refused:
        for refusal in refusals:
            names.setdefault(str(refusal), []).append(" ".join(job.words) or "(every cell)")
    print(f"expctl: {len(refused)} of {len(jobs)} cells cannot be started{so}\n", file=sys.stderr)
    for text, affected in list(names.items())[:MOST_REFUSALS]:
        more = f" and {len(affected) - MOST_NAMES} more" if len(affected) > MOST_NAMES else ""
        print(text, file=sys.stderr)
        print(f"  cells    {'; '.join(affected[:MOST_NAMES])}{more}\n", file=sys.stderr)
    if len(names) > MOST_REFUSALS:
        print(f"expctl: and {len(names) - MOST_REFUSALS} more", file=sys.stderr)
    return EXIT_REFUSED
