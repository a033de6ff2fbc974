"""`expctl check [-m] [--full] [overrides]`: whether experiments can be started; nothing is created.

Without `--full` everything that can be known without the libraries, in half a second. With it, in a process of its
own, also what they say: all but the weights is built, and the first batch taken.
"""

import sys

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.refuse import refuse, refuse_as_worker

FULL = "--full"


def main(words: list[str]) -> int:
    """Check one experiment, or each of a sweep; 0 when all can be started."""
    full = FULL in words
    words = [word for word in words if word != FULL]
    if is_multirun(words):
        from expctl.cli.sweep import sweep

        return sweep(words, check="full" if full else "quick")
    experiment = compose(words)
    return check_one(experiment, full=full) if experiment else EXIT_COMPLETED


def check_one(experiment: Experiment, *, full: bool) -> int:
    """Check one experiment and say what came of it; an exit code."""
    from expctl.config.check import check
    from expctl.config.experimental import experimental_notes

    refusals = check(experiment)
    if refusals:
        return refuse(refusals)
    for note in experiment.notes + experimental_notes(experiment):
        print(f"note: {note}", file=sys.stderr)
    from expctl.runs.identity import run_of

    if not full:
        print(f"ok  {run_of(experiment).run_id}")
        return EXIT_COMPLETED
    from expctl.launch.preflight import preflights

    [answer] = preflights([experiment])
    if answer is None:
        do = "EXPCTL_DEBUG=1 shows its last words; without --full the rest is checked"
        return refuse([Refusal("the full check died without an answer", where="--full (command line)", do=do)])
    if answer["wrong"]:
        return refuse_as_worker(answer["wrong"], experiment.sources, answer["traceback"])
    print(f"ok  {run_of(experiment).run_id}  ({', '.join(answer['checked'])})")
    return EXIT_COMPLETED
