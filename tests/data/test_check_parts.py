"""What is refused of the sources of a mixture and of further sets to evaluate on, with the key of the part."""

import json

import pytest

from expctl.data.check import check_dataset
from expctl.data.parts import complete, of_first_set, set_names


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A function that completes a group and checks it, in a folder with a file of sums and one of questions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.jsonl").write_text("\n".join(json.dumps({"prompt": f"{n}+1="}) for n in range(20)))
    (tmp_path / "asked.jsonl").write_text("\n".join(json.dumps({"question": f"{n}-1="}) for n in range(20)))
    chat = json.dumps({"messages": [{"role": "user", "content": "2+1?"}]}) + "\n"
    (tmp_path / "chats.jsonl").write_text(chat * 20)
    (tmp_path / "one.jsonl").write_text(json.dumps({"prompt": "1+1="}))
    (tmp_path / "none.jsonl").touch()

    def checked(**options):
        dataset = {"kind": "prompt-only", "seed": 0, **options}
        complete(dataset)
        check_dataset(dataset)
        return dataset

    return checked


MIXTURE = {"_target_": "expctl.data.mixture.load"}
FILES = {"_target_": "expctl.data.files.load", "path": "sums.jsonl"}


def test_a_path_alone_is_a_source_with_the_kind_and_the_seed_of_the_group(group):
    sources = group(**MIXTURE, sources={"sums": "sums.jsonl"})["sources"]
    assert sources["sums"] == {"kind": "prompt-only", "seed": 0, **FILES}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": {}}, r"dataset=mixture needs sources"),
        ({"sources": {"a b": "sums.jsonl"}}, r"dataset\.sources\.a b: a name is made of letters"),
        ({"sources": {"a": 3}}, r"dataset\.sources\.a=3 is no data set"),
        ({"sources": {"a": {"columns": {}}}}, r"dataset\.sources\.a names no data"),
        ({"sources": {"a": "gone.jsonl"}}, r"dataset\.sources\.a\.path=gone\.jsonl: no such file"),
        ({"sources": {"a": "asked.jsonl"}}, r"dataset\.sources\.a\.columns\.prompt="),
        ({"sources": {"a": "sums.jsonl"}, "stopping": "al_exhausted"}, r"Did you mean all_exhausted"),
        ({"sources": {"a": "sums.jsonl"}, "weights": {"b": 1}}, r"dataset\.weights\.b: no source is called so"),
        ({"sources": {"a": "sums.jsonl"}, "weights": {"a": 0}}, r"dataset\.weights\.a=0 is no weight"),
        ({"sources": {"a": "sums.jsonl", "b": "one.jsonl"}, "weights": {"a": 1}}, r"none for the source b"),
    ],
)
def test_a_source_or_weight_that_cannot_be_is_refused_under_its_own_key(group, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        group(**MIXTURE, **options)


def test_texts_and_conversations_do_not_mix_and_one_word_mends_it(group):
    chats = {"path": "chats.jsonl", "columns": {"prompt": "messages"}}
    with pytest.raises(ValueError, match=r"dataset\.sources\.sums\.conversational=true"):
        group(**MIXTURE, sources={"sums": "sums.jsonl", "chats": chats})
    group(**MIXTURE, sources={"sums": {"path": "sums.jsonl", "conversational": True}, "chats": chats})


def test_a_set_of_one_row_is_enough_to_evaluate_on_and_an_empty_one_is_not(group):
    group(**FILES, eval_sets={"one": "one.jsonl"})
    with pytest.raises(ValueError, match=r"dataset\.eval_sets\.none\.path=none\.jsonl is empty"):
        group(**FILES, eval_sets={"none": "none.jsonl"})


def test_a_set_is_read_as_the_rows_to_train_on_unless_it_says_otherwise(group):
    asked = FILES | {"path": "asked.jsonl", "columns": {"prompt": "question"}}
    group(**asked, eval_sets={"again": "asked.jsonl"})
    with pytest.raises(ValueError, match=r"dataset\.eval_sets\.sums\.path=sums\.jsonl has no column 'question'"):
        group(**asked, eval_sets={"sums": "sums.jsonl"})
    group(**asked, eval_sets={"sums": {"path": "sums.jsonl", "columns": {}}})


def test_a_name_that_the_dataset_itself_has_is_taken(group):
    with pytest.raises(ValueError, match=r"dataset\.eval_sets\.held_out: the name is taken"):
        group(**FILES, eval_sets={"held_out": "one.jsonl"})


def test_metrics_are_of_the_first_set_unless_they_name_one(group):
    names = set_names(group(**FILES, eval_sets={"hard": "one.jsonl"}))
    assert names == ["held_out", "hard"]
    assert of_first_set("eval_reward", names) == "eval_held_out_reward"
    assert of_first_set("eval_hard_reward", names) == "eval_hard_reward"
    assert set_names(FILES) == [] and of_first_set("eval_reward", []) == "eval_reward"
    by_source = group(
        **MIXTURE, sources={"a": "sums.jsonl", "b": "one.jsonl"} | {"b": "sums.jsonl"}, eval_by_source=True
    )
    assert set_names(by_source) == ["a", "b"]
