"""Mixtures and named evaluation sets through composition and check: rewards, lengths, metrics, content."""

import json

import pytest

from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.runs.identity import config_hash

MIXTURE = ["dataset=mixture", "dataset.sources.a=a.jsonl", "dataset.sources.b=b.jsonl"]
SETS = ["dataset=files", "dataset.path=a.jsonl", "dataset.eval_sets.hard=b.jsonl"]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        rows = [{"prompt": f"{name}{n}=", "answer": str(n), "completion": f" {n}"} for n in range(200)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def what(words):
    return [refusal.what for refusal in check(compose(words))]


def test_a_mixture_of_files_and_options_is_checked_and_has_what_its_sources_ask_for():
    assert check(compose(MIXTURE)) == []
    both = compose(["dataset=mixture", *(f"+dataset@dataset.sources.{name}=arithmetic" for name in "xy")])
    assert check(both) == []
    assert both.config["args"]["max_completion_length"] == 96
    assert both.config["reward"]["functions"]["accuracy"]["_target_"] == "expctl.rewards.arithmetic.accuracy"


def test_sources_with_different_rewards_ask_for_one():
    mixed = ["dataset=mixture", "+dataset@dataset.sources.x=arithmetic", "dataset.sources.a=a.jsonl"]
    with pytest.raises(Refusal, match="sources x and a have different rewards"):
        compose(mixed)
    assert check(compose([*mixed, "reward=number"])) == []
    assert check(compose([*mixed, "algorithm=sft"])) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*MIXTURE, "dataset.sources.c={path: a.jsonl, clumns: {}}"], "expctl.data.files.load takes no 'clumns'"),
        ([*SETS, "dataset.eval_sets.same=[b.jsonl,a.jsonl]"], "dataset.eval_sets.same has a training file"),
        ([*MIXTURE, "dataset.eval_sets.same=b.jsonl"], "dataset.eval_sets.same has a training file"),
        ([*SETS, "dataset.eval_sets.hard2={path: a.jsonl, clumns: {}}"], "expctl.data.files.load takes no 'clumns'"),
        ([*MIXTURE, "dataset.streaming=true"], "this loader streams nothing"),
        ([*SETS, "algorithm.objective=eval_reward"], "algorithm.objective=eval_reward names no evaluation set"),
        (["algorithm=orpo", "dataset.eval_sets.more={_target_: expctl.data.arithmetic.load}"], "is not evaluated on"),
        (
            [*MIXTURE, "algorithm=sft", "callbacks=completions", "dataset.eval_by_source=true"],
            "samples for all sources",
        ),
    ],
)
def test_what_no_part_or_metric_has_is_refused(words, said):
    assert any(said in each for each in what(words))


def test_the_objective_is_of_the_first_set_or_of_the_one_that_is_named():
    assert compose(SETS).config["algorithm"]["objective"] == "eval_held_out_reward"
    assert (
        compose([*SETS, "callbacks=early_stopping"]).config["args"]["metric_for_best_model"] == "eval_held_out_reward"
    )
    named = [*SETS, "algorithm.objective=eval_hard_reward", "callbacks=early_stopping"]
    assert check(compose(named)) == []
    assert compose(named).config["args"]["metric_for_best_model"] == "eval_hard_reward"


@pytest.mark.parametrize("words", [MIXTURE, SETS])
def test_the_content_of_a_part_is_part_of_the_run(words, data):
    before = config_hash(compose(words))
    with (data / "b.jsonl").open("a") as file:
        file.write('\n{"prompt": "one more=", "answer": "1", "completion": " 1"}')
    assert config_hash(compose(words)) != before


def test_where_nothing_is_trained_any_file_may_be_evaluated():
    assert what([*SETS, "algorithm=eval", "dataset.eval_sets.same=a.jsonl"]) == []


def test_a_weight_beside_a_source_has_its_key_named():
    (refusal,) = check(compose([*MIXTURE, "dataset.sources.a.weight=2"]))
    assert refusal.nearest == ["dataset.weights.a"]
