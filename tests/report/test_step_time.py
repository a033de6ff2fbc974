"""Where the time went, as a person reads it, and when an engine is advised."""

import json

import pytest
from fabricated import experiment, run_of

from expctl.report.closing import print_closing
from expctl.report.step_time import MEASURED, engine_advice, time_lines, times_of
from expctl.runs.phases import PhaseTimes
from expctl.runs.records import Manifest, Summary


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    return run_of(experiment(tmp_path), status="completed")


def spent(run, **seconds):
    Summary(objective=1.0, seconds=seconds, tokens_per_second={"sampling": 500.0}).write(run.summary)


def test_phases_that_took_time_have_a_line_each_with_their_share_and_rate():
    times = PhaseTimes({"sampling": 97.0, "update": 2.9, "checkpoint": 0.1, "weights": 0.0}, {"sampling": 970_000})
    assert [line.split() for line in time_lines(times)] == [
        ["sampling", "97", "s", "97%", "10,000", "tokens/s"],
        ["update", "2.9", "s", "3%"],
        ["checkpoint", "0.1", "s", "0%"],
    ]
    assert time_lines(PhaseTimes()) == []


def test_a_run_that_goes_on_is_told_by_its_rows_and_a_completed_one_by_its_summary(run):
    run.summary.unlink(missing_ok=True)
    run.metrics.write_text(json.dumps({"step": 1, "time/update_seconds": 3.0}) + "\n")
    assert times_of(run).seconds == {"update": 3.0}
    spent(run, total=99.0, update=4.0, sampling=1.0)
    assert times_of(run).seconds == {"update": 4.0, "sampling": 1.0}
    assert times_of(run).tokens_per_second == {"sampling": 500.0}


def test_a_run_of_an_earlier_expctl_says_nothing_of_it(run):
    spent(run, total=99.0)
    assert times_of(run).seconds == {} and engine_advice(run, Manifest(status="completed"), {}) == []


@pytest.mark.parametrize(
    ("model", "args", "share", "advised"),
    [
        ("qwen3_0_6b", {}, 0.97, True),
        ("qwen3_0_6b", {}, 0.9, False),
        ("qwen3_0_6b", {"use_vllm": True}, 0.97, False),
        ("tiny", {}, 0.97, False),
    ],
    ids=["all sampling", "nine tenths", "an engine already", "a toy"],
)
def test_an_engine_is_advised_where_sampling_is_nearly_all(run, model, args, share, advised):
    spent(run, sampling=share, update=1 - share)
    lines = engine_advice(run, Manifest(status="completed", choices={"model": model}), {"args": args})
    assert bool(lines) is advised
    if advised:
        assert "sampling took 97%" in lines[0] and "generation=vllm" in lines[0]
        assert all(what in lines[1] for what, _ in MEASURED) and "17 times" in lines[1]


def test_it_is_said_once_at_the_end_of_the_run(run, capsys):
    spent(run, sampling=97.0, update=3.0)
    manifest = Manifest.read(run.manifest)
    manifest.choices["model"] = "qwen3_0_6b"
    manifest.write(run.manifest)
    print_closing(run, "completed", None)
    assert capsys.readouterr().err.count("generation=vllm") == 1
