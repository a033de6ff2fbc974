"""The last words of a sweep tell what to type next."""

from pathlib import Path

import pytest

from expctl.base.experiment import Experiment
from expctl.launch.launch import Outcome
from expctl.report.sweep_closing import print_results
from expctl.runs.files import Run
from expctl.sweep.job import Ended, SweepJob


@pytest.mark.parametrize(
    ("force", "said"), [(False, "the same command finishes"), (True, "the same command without force=true finishes")]
)
def test_a_sweep_that_was_forced_is_finished_by_the_command_without_that(force, said, tmp_path, capsys):
    config = {"force": force, "algorithm": {"objective": "eval_loss", "direction": "minimize"}}
    state = Ended(Run(tmp_path / "a"), Outcome(75, "interrupted"), Experiment(config, {}, [], Path()))
    print_results([SweepJob(("seed=0",), ("seed=0",), state)], Path("ledger.json"))
    assert f"{said} the rest" in capsys.readouterr().out
