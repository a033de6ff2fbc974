"""The last words of a run that did not complete say what to type."""

import pytest
from fabricated import experiment, run_of

from expctl.report.closing import print_closing


@pytest.mark.parametrize("status", ["interrupted", "failed"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, "the same command carries on from the beginning"),
        ({"force": True}, "the same command without force=true carries on from the beginning"),
    ],
)
def test_a_run_that_was_forced_is_carried_on_without_that(tmp_path, monkeypatch, capsys, changes, said, status):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    print_closing(run_of(experiment(tmp_path, **changes)), status, "KeyError: 'lost'")
    assert said in capsys.readouterr().err
