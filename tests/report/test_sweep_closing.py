"""The last words of a sweep tell what to type next."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from expctl.launch.launch import Outcome
from expctl.report.sweep_closing import print_results
from expctl.runs.files import Run
from expctl.sweep.pool import Place


@pytest.mark.parametrize(
    ("force", "said"), [(False, "the same command finishes"), (True, "the same command without force=true finishes")]
)
def test_a_sweep_that_was_forced_is_finished_by_the_command_without_that(force, said, tmp_path, capsys):
    config = {"force": force, "algorithm": {"objective": "eval_loss", "direction": "minimize"}}
    place = Place(("seed=0",), SimpleNamespace(config=config), Run(tmp_path / "a"), status="interrupted")
    place.outcome = Outcome(75, "interrupted")
    print_results([place], Path("ledger.json"))
    assert f"{said} the rest" in capsys.readouterr().out
