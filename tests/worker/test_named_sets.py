"""Metrics of named evaluation sets: every one has its set's name, whoever adds it."""

from types import SimpleNamespace

import pytest

from expctl.worker import named_sets
from expctl.worker.datasets import load_data


@pytest.fixture
def logged(monkeypatch):
    seen = []
    monkeypatch.setattr(named_sets, "_log", lambda self, logs, start_time: seen.append(dict(logs)))
    return seen


def test_what_a_trainer_adds_is_named_after_the_set_that_was_evaluated(logged):
    trainer = SimpleNamespace(eval_dataset={"hard": [], "easy": []})
    for name, reward in (("hard", 0.1), ("easy", 0.9)):
        logs = {f"eval_{name}_loss": 1.0, f"eval_{name}_runtime": 2.0, "eval_reward": reward}
        named_sets._log_by_set(trainer, logs)
        assert logs[f"eval_{name}_reward"] == reward and "eval_reward" not in logs  # what `evaluate()` returns
    named_sets._log_by_set(trainer, {"loss": 1.0})
    merged = named_sets.merged(logged)
    assert (merged["eval_hard_reward"], merged["eval_easy_reward"], merged["loss"]) == (0.1, 0.9, 1.0)
    assert [named_sets.has_loss(row) for row in logged] == [True, True, False]


def test_one_set_keeps_its_names(logged):
    named_sets._log_by_set(SimpleNamespace(eval_dataset=[]), {"eval_runtime": 1.0, "eval_reward": 0.5})
    assert logged == [{"eval_runtime": 1.0, "eval_reward": 0.5}]


def test_the_sets_of_a_group_are_its_own_and_the_further_ones():
    sums = {
        "_target_": "expctl.data.arithmetic.load",
        "kind": "prompt-only",
        "seed": 0,
        "train_size": 8,
        "eval_size": 4,
    }
    train, sets = load_data(sums | {"eval_sets": {"more": sums | {"seed": 1, "eval_size": 6}}})
    assert (len(train), {name: len(part) for name, part in sets.items()}) == (8, {"held_out": 4, "more": 6})


def test_what_is_wrong_with_a_set_begins_with_its_key():
    sums = {"_target_": "expctl.data.arithmetic.load", "kind": "prompt-only", "seed": 0}
    with pytest.raises(ValueError, match=r"^dataset\.eval_sets\.more\.eval_size=9999"):
        load_data(sums | {"eval_sets": {"more": sums | {"eval_size": 9999}}})
