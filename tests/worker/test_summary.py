"""What a summary says of the objective."""

import json
from types import SimpleNamespace

import pytest

from expctl.runs.files import Run, read_json
from expctl.runs.phases import PhaseTimes
from expctl.worker.summary import write_summary

CONFIG = {
    "algorithm": {"objective": "eval_reward", "direction": "maximize"},
    "model": {"path": "embedded:tiny"},
    "seed": 0,
}


@pytest.mark.parametrize(("after", "name", "value"), [({"eval_reward": 0.9}, "eval_reward", 0.9), ({}, "reward", 0.5)])
def test_the_objective_bears_the_name_of_the_metric_that_it_is(after, name, value, tmp_path):
    run = Run(tmp_path)
    run.model.mkdir()
    run.metrics.write_text(json.dumps({"step": 1, "loss": 0.1, "reward": 0.5}) + "\n")
    trainer = SimpleNamespace(
        args=SimpleNamespace(load_best_model_at_end=False), state=SimpleNamespace(global_step=1, log_history=[])
    )
    write_summary(trainer, run, CONFIG, {}, after, {}, PhaseTimes())
    recorded = read_json(run.summary)
    assert (recorded["objective_name"], recorded["objective"]) == (name, value)


def summary(tmp_path, rows, after=()):
    run = Run(tmp_path)
    run.model.mkdir()
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    trainer = SimpleNamespace(
        args=SimpleNamespace(load_best_model_at_end=False), state=SimpleNamespace(global_step=6, log_history=[])
    )
    write_summary(trainer, run, CONFIG, {}, dict(after), {}, PhaseTimes())
    return read_json(run.summary)


def test_where_the_last_step_samples_nothing_the_objective_is_the_last_that_was_measured(tmp_path):
    recorded = summary(tmp_path, [{"step": 5, "loss": 0.1, "reward": 0.5}, {"step": 6, "loss": 0.2}])
    assert (recorded["objective"], recorded["objective_step"], recorded["no_objective"]) == (0.5, 5, None)
    assert recorded["train"] == {"loss": 0.2, "reward": 0.5}


@pytest.mark.parametrize(
    ("rows", "after", "why"),
    [
        ([{"step": 5, "loss": 0.1, "reward": 0.5}, {"step": 6, "loss": 0.2, "reward": None}], {}, "not a number"),
        ([{"step": 6, "loss": 0.2, "reward": 0.5}], {"eval_reward": float("nan")}, "not a number"),
        ([{"step": 6, "loss": 0.2}], {}, "logged reward"),
    ],
)
def test_without_an_objective_the_summary_says_why(rows, after, why, tmp_path):
    recorded = summary(tmp_path, rows, after)
    assert recorded["objective"] is None and why in recorded["no_objective"]
    assert "nan" not in (tmp_path / "model" / "README.md").read_text()
