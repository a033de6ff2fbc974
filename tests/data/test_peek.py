"""The parent sees columns and emptiness of a file without reading it all, and without `datasets`."""

import json
import subprocess
import sys

import pyarrow
import pytest
from pyarrow import parquet

from expctl.data.formats import data_file
from expctl.data.located import file_source
from expctl.data.peek import MOST_ROWS, columns_of, is_empty

ROWS = [{"question": "2+3", "answer": "5"}, {"question": "a, b\nc", "answer": "6"}]


def at(path, key: str = "dataset.path"):
    return file_source(str(path), key)


def write(folder, name: str, rows: list[dict]) -> str:
    file = folder / name
    if file.suffix == ".parquet":
        schema = pyarrow.schema([("question", pyarrow.string()), ("answer", pyarrow.string())])
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema), file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows, indent=2))
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        separator = "\t" if file.suffix == ".tsv" else ","
        cells = [[f'"{cell}"' for cell in row.values()] for row in rows]
        file.write_text("\n".join(separator.join(line) for line in [["question", "answer"], *cells]) + "\n")
    return str(file)


@pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.csv", "data.tsv", "data.parquet"])
def test_every_format_shows_its_columns_in_order(tmp_path, name):
    path = write(tmp_path, name, ROWS)
    assert columns_of(at(path)) == ["question", "answer"]
    assert not is_empty(at(path))


@pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.csv", "data.tsv", "data.parquet"])
def test_a_file_without_a_row_is_empty_in_every_format(tmp_path, name):
    assert is_empty(at(write(tmp_path, name, [])))


@pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.csv"])
def test_a_file_of_zero_bytes_or_blank_lines_is_empty(tmp_path, name):
    file = tmp_path / name
    for content in ("", "\n\n"):
        file.write_text(content)
        assert is_empty(at(file))
        assert columns_of(at(file)) == []


def test_the_first_object_of_a_json_list_may_be_longer_than_what_is_read_first(tmp_path):
    path = write(tmp_path, "data.json", [{"question": "x" * 2_000_000, "answer": "5"}])
    assert columns_of(at(path)) == ["question", "answer"]


def test_a_byte_order_mark_is_no_part_of_a_column_name(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("\ufeffquestion,answer\n1,2\n")
    assert columns_of(at(file)) == ["question", "answer"]


def test_only_the_beginning_of_a_large_file_is_read(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_text('{"question": "2+3"}\n' * MOST_ROWS * 2 + "this is no JSON\n")
    assert columns_of(at(file)) == ["question"]


def test_a_missing_file_names_the_nearest_one(tmp_path):
    write(tmp_path, "train.jsonl", ROWS)
    with pytest.raises(
        FileNotFoundError, match=r"dataset\.path=.*trian\.jsonl: no such file\. Did you mean .*train\.jsonl"
    ):
        data_file(str(tmp_path / "trian.jsonl"))


def test_an_extension_that_is_not_read_is_refused_with_those_that_are(tmp_path):
    (tmp_path / "data.xlsx").write_text("x")
    with pytest.raises(ValueError, match=r"'\.xlsx' is not read; \.jsonl"):
        columns_of(at(tmp_path / "data.xlsx"))


@pytest.mark.parametrize("content", ["not JSON\n", "[1, 2]\n", '"text"\n'])
def test_a_first_row_that_is_no_object_is_refused_with_the_path(tmp_path, content):
    file = tmp_path / "data.jsonl"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"dataset\.eval_path=.*not a valid jsonl file"):
        columns_of(at(file, "dataset.eval_path"))


def test_a_broken_parquet_file_is_refused_with_the_path(tmp_path):
    file = tmp_path / "data.parquet"
    file.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"data\.parquet: not a valid parquet file"):
        columns_of(at(file))


def test_what_the_parent_imports_stays_free_of_torch_and_datasets():
    code = (
        "import sys, expctl.data.check, expctl.models; "
        "print(sorted({'torch', 'transformers', 'trl', 'datasets', 'pyarrow', 'reasoning_gym'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
