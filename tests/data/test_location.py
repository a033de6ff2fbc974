"""What a path may mean: one file, several, a pattern, a folder; alike in parent and worker."""

import json

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from expctl.data import check, files
from expctl.runs import identity, large_files


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def rows(first: int, count: int = 4) -> list[dict]:
    return [{"prompt": f"{n}+{n}=", "answer": str(2 * n)} for n in range(first, first + count)]


def write(folder, name: str, made: list[dict]):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return file


def prompts(path, **given) -> list[str]:
    """All prompts of the rows at `path`, in no order."""
    named = {"kind": "prompt-only", "seed": 0, "path": path, **given}
    check.check_dataset({"_target_": "expctl.data.files.load", **named})
    train, held_out = files.load(**named)
    return sorted([*train["prompt"], *held_out["prompt"]])


def refusal(path, **given) -> str:
    named = {"kind": "prompt-only", "seed": 0, "path": path, **given}
    with pytest.raises((ValueError, FileNotFoundError)) as parent:
        check.check_dataset({"_target_": "expctl.data.files.load", **named})
    return str(parent.value)


EXPECTED = sorted(row["prompt"] for row in rows(10, 8))


def test_shards_of_a_folder_a_pattern_and_a_list_are_the_same_rows(tmp_path):
    first = write(tmp_path, "s/a/0.jsonl", rows(10))
    write(tmp_path, "s/1.JSONL", rows(14))
    write(tmp_path, "s/.hidden/2.jsonl", rows(50))
    (tmp_path / "s" / "README.md").write_text("shards")
    for path in ("s", str(tmp_path / "s"), "s/**/*.[jJ]*", [str(first), "s/1.JSONL"], ["s/a", "s/*.JSONL"]):
        assert prompts(path) == EXPECTED


@pytest.mark.parametrize("options", [{}, {"num_shards": 3}])
def test_what_save_to_disk_wrote_is_read_as_it_was(options):
    datasets.Dataset.from_list(rows(10, 8)).save_to_disk("saved", **options)
    assert prompts("saved") == EXPECTED


def test_an_arrow_file_is_read_like_a_stream(tmp_path):
    made = pyarrow.Table.from_pylist(rows(10, 8))
    with pyarrow.OSFile("data.arrow", "wb") as out, pyarrow.ipc.new_file(out, made.schema) as writer:
        writer.write_table(made)
    assert prompts("data.arrow") == EXPECTED


def test_a_line_of_a_text_is_a_row(tmp_path):
    (tmp_path / "lines.TXT").write_text("\n".join(EXPECTED) + "\n\n")
    assert prompts("lines.TXT", columns={"prompt": "text"}) == EXPECTED
    (tmp_path / "empty.txt").write_text("\n")
    assert "is empty" in refusal("empty.txt", columns={"prompt": "text"})


def test_files_of_two_formats_in_one_folder_are_refused_and_taken_where_they_are_named(tmp_path):
    write(tmp_path, "s/0.jsonl", rows(10))
    parquet.write_table(pyarrow.Table.from_pylist(rows(14)), tmp_path / "s" / "1.parquet")
    assert "several formats" in refusal("s") and "dataset.path=s/*.jsonl" in refusal("s")
    assert prompts(["s/0.jsonl", "s/1.parquet"]) == EXPECTED


def test_a_folder_that_holds_splits_is_not_trained_on_as_one(tmp_path):
    write(tmp_path, "s/train.jsonl", rows(10))
    write(tmp_path, "s/test.jsonl", rows(14))
    assert "dataset=hub dataset.path=s dataset.eval_split=test" in refusal("s")
    one = datasets.Dataset.from_list(rows(10))
    datasets.DatasetDict(train=one, test=one).save_to_disk("dict")
    assert "dataset.path=dict/train, and dataset.eval_path=dict/<another>" in refusal("dict")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none/*.jsonl", "dataset.path=none/*.jsonl: no data file fits"),
        ("void", "is a folder without a data file"),
        (["a.jsonl", "./a.jsonl"], "twice"),
        (["a.jsonl", "b.jsonl"], "dataset.path=b.jsonl: no such file. Did you mean a.jsonl"),
    ],
)
def test_what_is_not_there_or_there_twice_is_refused(path, said, tmp_path):
    write(tmp_path, "a.jsonl", rows(10))
    (tmp_path / "void").mkdir()
    assert said in refusal(path)


def test_a_file_of_the_training_folder_is_not_evaluated_on(tmp_path):
    write(tmp_path, "s/0.jsonl", rows(10))
    write(tmp_path, "s/1.jsonl", rows(14))
    assert "has a training file, s/1.jsonl" in refusal("s", eval_path="s/1.jsonl")


def test_a_row_that_cannot_be_used_is_named_with_its_file(tmp_path):
    for number in range(9):
        write(tmp_path, f"s/{number}.jsonl", rows(10 * number))
    write(tmp_path, "s/4.jsonl", [*rows(99, 1), {"prompt": 7}])
    assert "row 2 of 4.jsonl: column 'prompt' holds int" in refusal("s")  # the middle one is looked at
    write(tmp_path, "s/4.jsonl", rows(99))
    (tmp_path / "s" / "5.jsonl").write_text("no JSON\n")
    with pytest.raises(ValueError, match=r"dataset\.path=s: 5\.jsonl is not a valid jsonl file: line 1"):
        files.load(kind="prompt-only", seed=0, path="s")


def test_the_identity_of_a_pattern_and_of_a_list_is_the_content_of_their_files(tmp_path):
    write(tmp_path, "a.jsonl", rows(10))
    write(tmp_path, "b.jsonl", rows(14))

    def inputs(path):
        return identity.local_inputs({"dataset": {"path": path}}, tmp_path)

    before = inputs("*.jsonl")
    assert set(before) == {"a.jsonl", "b.jsonl"} and inputs(["a.jsonl", "b.jsonl"]) == before
    write(tmp_path, "b.jsonl", rows(15))
    assert inputs("*.jsonl")["b.jsonl"] != before["b.jsonl"]


def test_large_data_are_told_apart_by_sizes_and_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(large_files, "WHOLE", 1 << 21)
    monkeypatch.setattr(large_files, "BLOCKS", 8)
    content = bytearray(3 << 20)
    (tmp_path / "a.jsonl").write_bytes(content)

    def digest():
        return identity.local_inputs({"dataset": {"path": "a.jsonl"}}, tmp_path)["a.jsonl"]

    before = digest()
    assert before.startswith("blocks:") and digest() == before
    for place in (0, len(content) - 1):
        changed = content.copy()
        changed[place] = 1
        (tmp_path / "a.jsonl").write_bytes(changed)
        assert digest() != before
    (tmp_path / "a.jsonl").write_bytes(content + b"\0")
    assert digest() != before
    monkeypatch.setattr(large_files, "WHOLE", 1 << 30)
    assert not digest().startswith("blocks:")
