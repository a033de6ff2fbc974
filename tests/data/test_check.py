"""What the parent refuses of a dataset, with the words that it needs."""

import json

import pytest
import reasoning_gym

from expctl.config.groups import group_options
from expctl.data import forms
from expctl.data.check import check_dataset

FILES = {"_target_": "expctl.data.files.load", "kind": "prompt-only", "seed": 0}
GSM8K = {"_target_": "expctl.data.gsm8k.load", "kind": "prompt-only", "seed": 0, "path": "openai/gsm8k"}


@pytest.fixture
def questions(tmp_path) -> str:
    file = tmp_path / "train.jsonl"
    rows = [{"question": "2+3", "solution": "5"}, {"question": "2+4", "solution": "6"}]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(file)


def test_a_file_with_mapped_columns_passes(questions):
    check_dataset({**FILES, "path": questions, "columns": {"prompt": "question", "answer": "solution"}})


def test_a_missing_column_is_named_with_those_that_exist_and_what_to_type(questions):
    with pytest.raises(ValueError) as refusal:
        check_dataset({**FILES, "path": questions})
    message = str(refusal.value)
    assert f"dataset.path={questions} has no column 'prompt', which prompt-only data need." in message
    assert "It has: question, solution." in message
    assert "dataset.columns.prompt=" in message


def test_a_misspelt_mapping_names_the_nearest_column(questions):
    columns = {"prompt": "qestion"}
    with pytest.raises(
        ValueError, match=r"dataset\.columns\.prompt=qestion: .* has no column 'qestion'(.|\n)*Did you mean 'question'"
    ):
        check_dataset({**FILES, "path": questions, "columns": columns})


def test_a_name_that_is_nearly_one_of_the_kind_s_is_refused_and_one_of_a_reward_s_is_not(questions):
    columns = {"prompt": "question", "promt": "question"}
    with pytest.raises(ValueError, match=r"dataset\.columns\.promt=question: (.|\n)*dataset\.columns\.prompt=question"):
        check_dataset({**FILES, "path": questions, "columns": columns})
    check_dataset({**FILES, "path": questions, "columns": {"prompt": "question", "gold": "solution"}})


@pytest.mark.parametrize(("kind", "missing"), [("prompt-completion", "completion"), ("preference", "chosen")])
def test_each_kind_needs_its_own_columns(questions, kind, missing):
    with pytest.raises(ValueError, match=f"no column '{missing}', which {kind} data need"):
        check_dataset({**FILES, "kind": kind, "path": questions, "columns": {"prompt": "question"}})


def test_an_empty_file_and_a_missing_evaluation_file_are_refused_under_their_own_keys(questions, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(ValueError, match=r"dataset\.path=.*empty\.jsonl is empty"):
        check_dataset({**FILES, "path": str(empty)})
    with pytest.raises(FileNotFoundError, match=r"dataset\.eval_path=none\.jsonl: no such file"):
        check_dataset({**FILES, "path": questions, "columns": {"prompt": "question"}, "eval_path": "none.jsonl"})


def test_files_without_a_path_say_how_to_give_one():
    with pytest.raises(ValueError, match=r"dataset\.path=<file>"):
        check_dataset({**FILES, "path": None})


def test_gsm8k_that_cannot_be_had_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match=r"HF_HUB_OFFLINE is set\.\n.*hf download openai/gsm8k"):
        check_dataset(GSM8K)


@pytest.mark.parametrize("name", ["gsm8k", "reasoning_gym"])
def test_a_kind_that_a_dataset_cannot_give_is_refused_with_those_it_can(name):
    with pytest.raises(ValueError, match=f"dataset {name} has no 'preference'.*it has prompt-only, prompt-completion"):
        check_dataset({"_target_": f"expctl.data.{name}.load", "kind": "preference"})


def test_where_rows_of_the_missing_kind_are_to_be_had_is_said_and_what_learns_from_those_that_there_are():
    with pytest.raises(ValueError) as refused:
        check_dataset({"_target_": "expctl.data.gsm8k.load", "kind": "unpaired-preference"})
    _, _, do = str(refused.value).partition("\n")
    assert "dataset=ultrafeedback" in do and "prompt, completion, label or prompt, chosen, rejected" in do
    assert do.endswith("algorithm=grpo, sft")
    named = {name for options in forms._HAVE.values() for name in options}
    assert named <= group_options("dataset").keys()


def test_the_kinds_that_are_made_into_the_wanted_one_are_named(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a", "answer": "b"}\n' * 4)
    with pytest.raises(ValueError, match="taken are unpaired-preference or preference rows"):
        check_dataset({**FILES, "path": str(file), "kind": "unpaired-preference"})


@pytest.mark.parametrize("task", sorted(reasoning_gym.factory.DATASETS))
def test_every_task_that_reasoning_gym_registers_passes_and_none_that_is_misspelt(task):
    options = {"_target_": "expctl.data.reasoning_gym.load", "kind": "prompt-only"}
    check_dataset({**options, "task": task})
    with pytest.raises(ValueError, match=rf"dataset\.task={task}x: .*Nearest: .*{task}"):
        check_dataset({**options, "task": f"{task}x"})


def test_a_missing_reasoning_gym_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'expctl\[reasoning_gym\]'"):
        check_dataset({"_target_": "expctl.data.reasoning_gym.load", "kind": "prompt-only", "task": "gcd"})


def test_a_loader_of_the_users_own_is_left_to_itself():
    check_dataset({"_target_": "my_package.load", "kind": "anything"})
