"""`expctl check [-m] [overrides]`: everything that can be known without loading weights; nothing is created."""

from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.refuse import refuse
from expctl.config.check import check
from expctl.config.experiment import Experiment
from expctl.runs.identity import run_of


def main(words: list[str]) -> int:
    """Check one experiment, or each of a sweep; 0 when all can be started."""
    if is_multirun(words):
        from expctl.cli.sweep import Check

        sweep = Check()
        compose(words, sweep=sweep)
        return sweep.code
    codes: list[int] = []

    def verb(experiment: Experiment) -> None:
        refusals = check(experiment)
        if refusals:
            codes.append(refuse(refusals))
        else:
            print(f"ok  {run_of(experiment).run_id}")

    compose(words, verb)
    return max(codes, default=0)
