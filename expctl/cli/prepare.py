"""The way into the house: check an experiment and claim its run, or say why not."""

from expctl.cli.refuse import refuse
from expctl.config.check import check
from expctl.config.experiment import Experiment
from expctl.config.refusal import Refusal
from expctl.launch.launch import Outcome
from expctl.runs import lock
from expctl.runs.claim import Claim, claim


def prepare(experiment: Experiment) -> Claim | Outcome:
    """Check and claim; a refusal is printed and becomes the outcome."""
    refusals = check(experiment)
    if refusals:
        return Outcome(refuse(refusals))
    try:
        return claim(experiment)
    except lock.LockedError as held:
        where = f"process {held.holder.get('pid')} on {held.holder.get('host')}"
        refusal = Refusal("this experiment is running already", where=where, do="wait for it, or change a setting")
    except OSError as error:
        refusal = Refusal(f"the run's folder cannot be written: {error.strerror}", where=str(error.filename))
    return Outcome(refuse([refusal]))
