"""The fingerprint of a dataset follows its rows, not where or how they are stored."""

import json

import pytest
from datasets import Dataset, IterableDataset
from fabricated import experiment, run_of

from expctl.report.closing import print_closing
from expctl.runs import manifest
from expctl.worker import data_fingerprint
from expctl.worker.data_fingerprint import fingerprint, record_fingerprints

ROWS = [{"prompt": f"{n}+{n}=", "answer": str(2 * n)} for n in range(30)]


def test_the_same_rows_have_the_same_fingerprint_however_they_are_stored(tmp_path):
    first = fingerprint(Dataset.from_list(ROWS))
    assert (first["rows"], first["columns"], first["of"]) == (30, ["answer", "prompt"], "all rows")
    Dataset.from_list(ROWS).to_parquet(tmp_path / "rows.parquet")
    stored = Dataset.from_parquet(str(tmp_path / "rows.parquet"), cache_dir=str(tmp_path / "cache"))
    backwards = Dataset.from_list(ROWS[::-1]).select(range(29, -1, -1))
    turned = Dataset.from_list([dict(reversed(row.items())) for row in ROWS])
    assert fingerprint(stored) == fingerprint(backwards) == fingerprint(turned) == first


@pytest.mark.parametrize(
    "rows",
    [ROWS[:-1], [ROWS[1], ROWS[0], *ROWS[2:]], [*ROWS[:-1], ROWS[-1] | {"answer": "0"}]],
    ids=["one less", "another order", "another value"],
)
def test_other_rows_have_another(rows):
    assert fingerprint(Dataset.from_list(rows))["fingerprint"] != fingerprint(Dataset.from_list(ROWS))["fingerprint"]


def test_of_many_rows_only_the_ends_and_the_number_count_and_that_is_said(monkeypatch):
    monkeypatch.setattr(data_fingerprint, "END_ROWS", 5)
    whole = fingerprint(Dataset.from_list(ROWS))
    assert whole["of"] == "the first and the last 5 rows"
    changed = [row | {"answer": "x"} if number == 15 else row for number, row in enumerate(ROWS)]
    assert fingerprint(Dataset.from_list(changed)) == whole
    assert fingerprint(Dataset.from_list([*ROWS[:15], *ROWS[16:]]))["fingerprint"] != whole["fingerprint"]


def test_a_medium_counts_by_its_bytes_and_not_by_its_path():
    pictures = [
        Dataset.from_list([{"image": {"bytes": b"\x89PNG", "path": path}}]) for path in ("/a/1.png", "/b/2.png")
    ]
    assert fingerprint(pictures[0]) == fingerprint(pictures[1])


def test_what_has_no_rows_to_count_has_none_and_several_datasets_have_one_each():
    stream = IterableDataset.from_generator(lambda: iter(ROWS))
    assert fingerprint(None) is None and fingerprint(stream) is None
    assert fingerprint({"easy": Dataset.from_list(ROWS[:3])})["easy"]["rows"] == 3


def test_a_run_that_is_carried_on_with_other_data_says_so_in_its_manifest_and_at_its_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    run = run_of(experiment(tmp_path))
    first, second = Dataset.from_list(ROWS), Dataset.from_list(ROWS[:-1])
    record_fingerprints(run, first, None)
    record_fingerprints(run, first, None)
    assert "data_changed" not in json.loads(run.manifest.read_text())
    record_fingerprints(run, second, None)
    record_fingerprints(run, second, None)
    assert json.loads(run.manifest.read_text())["data"]["train"]["rows"] == 29
    print_closing(run, "interrupted", None)
    errors = capsys.readouterr().err
    assert "warning: the run was resumed with other data" in errors
    assert "train was 30 rows" in errors and "is 29 rows" in errors


def test_data_that_are_streamed_are_noted_beside_what_the_parent_has_noted(tmp_path):
    run = run_of(experiment(tmp_path))
    manifest.note(run, "notes", ["on a GPU it rounds"])
    for _ in range(2):
        record_fingerprints(run, Dataset.from_list(ROWS).to_iterable_dataset(), None)
    first, second = json.loads(run.manifest.read_text())["notes"]
    assert first == "on a GPU it rounds" and "first pass" in second
