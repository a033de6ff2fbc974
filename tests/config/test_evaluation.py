"""An experiment that only evaluates: what it keeps of the config, and what is refused."""

import pytest

from expctl.base.evaluation import is_read
from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.runs.identity import run_of


def test_an_evaluation_keeps_only_the_arguments_that_it_reads(composed):
    kept = composed("eval").config
    assert all(map(is_read, kept["args"]))
    assert not {"learning_rate", "max_steps", "gradient_checkpointing"} & kept["args"].keys()
    assert kept["algorithm"]["trains"] is False and "prompts_per_step" not in kept


def test_an_evaluation_can_start(refused):
    assert refused("eval") == []
    assert refused("eval", {"args.num_generations_eval": 8}) == []
    assert refused("eval", {"args.temperature": 0}) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"args.temperature": 0, "args.num_generations_eval": 4}, "the 4 completions of a prompt are the same"),
        ({"args.temperature": -0.5}, "args.temperature is -0.5; it must be at least 0"),
        ({"args.num_generations_eval": 3}, "groups of 3 completions do not fill a batch of 256 rows"),
        ({"args.learning_rate": 1e-3}, "'args.learning_rate' would do nothing"),
        ({"args.num_generations": 8}, "'args.num_generations' would do nothing"),
        ({"dataset.eval_size": 0}, "dataset.eval_size=0 holds no prompts out"),
        ({"prompts_per_step": 8}, "'prompts_per_step' would do nothing"),
    ],
)
def test_what_an_evaluation_cannot_use_is_refused_by_name(refused, changes, what):
    refusals = refused("eval", changes)
    assert len(refusals) == 1 and what in refusals[0].what
    assert all(f"{key}={value} (command line)" in refusals[0].where for key, value in changes.items())


@pytest.mark.parametrize(
    "word", ["peft=lora", "callbacks=completions", "algorithm/replay=on", "algorithm.recipe.max_steps=5"]
)
def test_a_group_of_training_is_refused(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refusals = check(compose(["algorithm=eval", word]))
    assert [refusal for refusal in refusals if "trains nothing" in refusal.what]
    assert not (tmp_path / "outputs").exists()


def test_a_setting_of_training_of_a_model_makes_no_other_evaluation(tmp_path, monkeypatch):
    """The rows of an update in a model's file are not read, so they are not hashed."""
    monkeypatch.chdir(tmp_path)
    ids = {run_of(compose(["algorithm=eval", f"+args.{word}"])).run_id for word in ("run_name=a", "run_name=b")}
    assert len(ids) == 1
    first, second = (compose(["algorithm=eval", f"args.temperature={value}"]) for value in (0, 1))
    assert run_of(first).run_id != run_of(second).run_id
