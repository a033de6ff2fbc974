"""A user's file becomes a training and an evaluation set with TRL's column names, or an error that helps."""

import json

import pytest
from datasets import Dataset

from expctl.data import files

TURN = [{"role": "user", "content": "hi"}]


def write(folder, rows: list[dict], name: str = "train.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


@pytest.fixture
def sums(tmp_path) -> str:
    return write(tmp_path, [{"question": f"{i}+1", "solution": i + 1, "level": "easy"} for i in range(40)])


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_columns_get_our_names_and_further_columns_stay_for_rewards(sums):
    train, held_out = files.load(
        kind="prompt-only", seed=0, path=sums, columns={"prompt": "question", "answer": "solution"}
    )
    assert set(train.column_names) == set(held_out.column_names) == {"prompt", "answer", "level"}
    assert train[0]["answer"] == int(train[0]["prompt"].split("+")[0]) + 1


def test_held_out_rows_are_not_trained_on_and_follow_the_seed(sums):
    def questions(seed):
        splits = files.load(kind="prompt-only", seed=seed, path=sums, columns={"prompt": "question"})
        return [set(split["prompt"]) for split in splits]

    train, held_out = questions(0)
    assert not train & held_out
    assert len(train) + len(held_out) == 40
    assert questions(0)[1] == held_out != questions(1)[1]


@pytest.mark.parametrize(("eval_size", "rows"), [(None, 4), (7, 7), (0.5, 20)])
def test_eval_size_is_rows_or_a_fraction_and_by_default_a_tenth(sums, eval_size, rows):
    _, held_out = files.load(kind="prompt-only", seed=0, path=sums, columns={"prompt": "question"}, eval_size=eval_size)
    assert len(held_out) == rows


@pytest.mark.parametrize("eval_size", [0, 40, 1000])
def test_holding_out_nothing_or_everything_is_refused(sums, eval_size):
    with pytest.raises(ValueError, match=rf"dataset\.eval_size={eval_size} .* of the 40 rows"):
        files.load(kind="prompt-only", seed=0, path=sums, columns={"prompt": "question"}, eval_size=eval_size)


def test_an_evaluation_file_leaves_every_training_row(sums, tmp_path):
    second = write(tmp_path, [{"question": "7+7"}, {"question": "8+8"}], "test.jsonl")
    columns = {"prompt": "question"}
    train, held_out = files.load(kind="prompt-only", seed=0, path=sums, columns=columns, eval_path=second, eval_size=1)
    assert len(train) == 40
    assert held_out["prompt"][:] == ["7+7"]


def test_csv_parquet_and_json_give_the_same_rows_as_jsonl(tmp_path):
    rows = [{"prompt": f"a, {i}", "answer": f"line\n{i}"} for i in range(4)]
    table = Dataset.from_list(rows)
    table.to_csv(tmp_path / "rows.csv")
    table.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    for name in ("rows.csv", "rows.parquet", "rows.json"):
        assert files.read_file(tmp_path / name, key="dataset.path").to_list() == rows


def test_a_column_in_the_way_of_a_mapped_one_makes_room(tmp_path):
    path = write(tmp_path, [{"prompt": "an id", "question": f"q{i}"} for i in range(3)])
    train, _ = files.load(kind="prompt-only", seed=0, path=path, columns={"prompt": "question"})
    assert train.column_names == ["prompt"]
    assert train[0]["prompt"].startswith("q")


def test_two_columns_can_change_places(tmp_path):
    path = write(tmp_path, [{"prompt": "p", "chosen": "bad", "rejected": "good"}] * 3)
    swap = {"chosen": "rejected", "rejected": "chosen"}
    train, _ = files.load(kind="preference", seed=0, path=path, columns=swap)
    assert (train[0]["chosen"], train[0]["rejected"]) == ("good", "bad")


def test_conversations_are_kept_and_plain_texts_become_turns_on_request(tmp_path):
    kept, _ = files.load(kind="prompt-only", seed=0, path=write(tmp_path, [{"prompt": TURN}] * 3))
    assert kept[0]["prompt"] == TURN
    plain = write(tmp_path, [{"prompt": "hi", "completion": "ho"}] * 3, "plain.jsonl")
    turns, _ = files.load(kind="prompt-completion", seed=0, path=plain, conversational=True)
    assert turns[0] == {"prompt": TURN, "completion": [{"role": "assistant", "content": "ho"}]}


@pytest.mark.parametrize("hole", [None, "", []])
def test_an_empty_cell_is_named_by_its_row(tmp_path, hole):
    filled = TURN if hole == [] else "hi"
    path = write(tmp_path, [{"prompt": filled}, {"prompt": hole}, {"prompt": filled}])
    with pytest.raises(ValueError, match=r"column 'prompt' is empty in row 2 of 3"):
        files.load(kind="prompt-only", seed=0, path=path)


@pytest.mark.parametrize("cell", [3, ["hi"], {"role": "user", "content": "hi"}])
def test_a_prompt_that_is_neither_text_nor_conversation_is_refused_with_an_example(tmp_path, cell):
    with pytest.raises(
        ValueError, match=r'column \'prompt\' holds .*it must hold texts, or conversations such as \[\{"role"'
    ):
        files.load(kind="prompt-only", seed=0, path=write(tmp_path, [{"prompt": cell}] * 3))


def test_a_file_that_breaks_in_the_middle_is_named(tmp_path):
    file = tmp_path / "broken.jsonl"
    file.write_text('{"prompt": "hi"}\n{"prompt": \n')
    with pytest.raises(ValueError, match=r"dataset\.path=.*broken\.jsonl: not a valid jsonl file: line 2 is no JSON"):
        files.load(kind="prompt-only", seed=0, path=str(file))


def test_a_header_without_rows_is_an_empty_dataset(tmp_path):
    (tmp_path / "header.csv").write_text("prompt,answer\n")
    with pytest.raises(ValueError, match=r"dataset\.path=.*header\.csv is empty: it has no row"):
        files.load(kind="prompt-only", seed=0, path=str(tmp_path / "header.csv"))
