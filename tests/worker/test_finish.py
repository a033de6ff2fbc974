"""What a summary says of the objective."""

import json
from types import SimpleNamespace

import pytest

from expctl.runs.files import Run, read_json
from expctl.worker.finish import write_summary

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
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=1, log_history=[]))
    write_summary(trainer, run, CONFIG, {}, after, {})
    told = read_json(run.summary)
    assert (told["objective_name"], told["objective"]) == (name, value)
