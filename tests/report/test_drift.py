"""The closing words of `expctl rerun`."""

import json

import pytest
from fabricated import experiment, run_of, write_metrics

from expctl.report.drift import print_drift
from expctl.runs import manifest


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A run, and one in the place of its rerun, with the same metrics at three steps."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    runs = [run_of(experiment(tmp_path), tmp_path / name, manifest.COMPLETED) for name in ("outputs", "reruns")]
    for run in runs:
        write_metrics(run, [{"step": step, "loss": 1.0 / step, "grad_norm": 1.0} for step in (1, 2, 3)])
    return runs


def test_the_same_run_twice_is_identical_in_three_lines(pair, capsys):
    print_drift(*pair)
    assert capsys.readouterr().out.strip().splitlines() == [
        f"compared with {pair[0].folder}",
        "  the same versions, machine, environment and data",
        "  metrics     identical: 3 steps, 2 metrics",
    ]


def test_what_differs_is_named_with_a_table_of_the_metrics_that_do(pair, capsys):
    told = json.loads(pair[0].manifest.read_text())
    told["versions"]["trl"] = "0.1"
    pair[0].manifest.write_text(json.dumps(told))
    write_metrics(pair[1], [{"step": step, "loss": 1.0 / step + (step > 1), "grad_norm": 1.0} for step in (1, 2, 3)])
    print_drift(*pair)
    said = capsys.readouterr().out
    assert "versions    trl 0.1 -> " in said and "differ from step 2 on (loss 0.5 -> 1.5), 1 of 2 over 3 steps" in said
    row = next(line.split() for line in said.splitlines() if line.startswith("loss"))
    assert row == ["loss", "2", "0.5", "1.5", "0.75", "3"]
    assert "grad_norm" not in said


def test_a_first_run_that_was_not_completed_is_compared_as_far_as_it_went(pair, capsys):
    manifest.end_attempt(pair[0], manifest.INTERRUPTED, to_step=1, exit_code=75)
    write_metrics(pair[0], [{"step": 1, "loss": 1.0, "grad_norm": 1.0}])
    print_drift(*pair)
    said = capsys.readouterr().out
    assert "the first run is interrupted: only the steps that both have are compared" in said
    assert "identical: 1 step, 2 metrics (2 more in the rerun)" in said
