"""GSM8K from a folder, a file or the hub's cache; the hub itself is never asked here."""

import json

import pytest

from expctl.data import gsm8k
from expctl.rewards.math_answer import accuracy

SOLUTION = "She sells 48/2 = <<48/2=24>>24 clips in May.\nSo 48+24 = <<48+24=72>>72.\n#### 72"


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def write_splits(folder, train: int = 6, test: int = 4) -> str:
    folder.mkdir(parents=True)
    for split, rows in (("train", train), ("test", test)):
        lines = [json.dumps({"question": f"{split} {i}?", "answer": SOLUTION}) + "\n" for i in range(rows)]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    return str(folder)


def test_prompts_ask_for_the_form_and_carry_the_number(tmp_path):
    train, held_out = gsm8k.load(kind="prompt-only", seed=0, path=write_splits(tmp_path / "gsm8k"))
    assert train[0] == {
        "prompt": [{"role": "user", "content": "train 0?\nThink step by step, and end with #### and the number."}],
        "answer": "72",
    }
    assert {row["prompt"][0]["content"].split()[0] for row in held_out} == {"test"}


def test_completions_are_the_solutions_without_calculator_notes(tmp_path):
    rows, _ = gsm8k.load(kind="prompt-completion", seed=0, path=write_splits(tmp_path / "gsm8k"))
    text = rows[0]["completion"][0]["content"]
    assert "<<" not in text
    assert accuracy([text], answer=["72"]) == [1.0]


def test_sizes_take_rows_by_the_seed(tmp_path):
    path = write_splits(tmp_path / "gsm8k")
    train, held_out = gsm8k.load(kind="prompt-only", seed=0, path=path, train_size=5, eval_size=2)
    assert (len(train), len(held_out)) == (5, 2)
    assert gsm8k.load(kind="prompt-only", seed=1, path=path, train_size=5, eval_size=2)[0].to_list() != train.to_list()


def test_one_file_holds_some_of_its_rows_out(tmp_path):
    write_splits(tmp_path / "gsm8k")
    train, held_out = gsm8k.load(kind="prompt-only", seed=0, path=str(tmp_path / "gsm8k" / "train.jsonl"), eval_size=2)
    assert (len(train), len(held_out)) == (4, 2)


def test_the_hubs_cache_is_used_offline(tmp_path):
    repository = tmp_path / "hub" / "datasets--openai--gsm8k"
    write_splits(repository / "snapshots" / "abc" / "main")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    train, held_out = gsm8k.load(kind="prompt-only", seed=0)
    assert (len(train), len(held_out)) == (6, 4)


def test_a_folder_without_a_test_set_is_refused(tmp_path):
    path = write_splits(tmp_path / "gsm8k")
    (tmp_path / "gsm8k" / "test.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file test\*"):
        gsm8k.load(kind="prompt-only", seed=0, path=path)


def test_files_of_something_else_are_refused_with_their_columns(tmp_path):
    (tmp_path / "other.jsonl").write_text('{"text": "hi"}\n' * 5)
    with pytest.raises(ValueError, match=r"is not GSM8K: it has the columns text"):
        gsm8k.load(kind="prompt-only", seed=0, path=str(tmp_path / "other.jsonl"), eval_size=2)
