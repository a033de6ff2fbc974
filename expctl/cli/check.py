"""`expctl check [-m] [overrides]`: everything that can be known without loading weights; nothing is created."""

from expctl.cli.hydra_app import compose
from expctl.cli.refuse import refuse
from expctl.config.check import check
from expctl.config.experiment import Experiment
from expctl.config.refusal import EXIT_REFUSED
from expctl.runs.identity import config_hash, run_id


def main(words: list[str]) -> int:
    """Check one experiment, or each of a sweep; 0 when all can be started."""
    wrong: list[str] = []

    def verb(experiment: Experiment) -> None:
        refusals = check(experiment)
        if refusals:
            refuse(refusals)
            wrong.append(" ".join(experiment.overrides))
            return
        print(f"ok  {run_id(experiment, config_hash(experiment))}")

    compose(words, verb)
    return EXIT_REFUSED if wrong else 0
