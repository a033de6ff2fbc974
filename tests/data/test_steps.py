"""A dataset that fills no batch is refused with the numbers, and the batch that is proposed is one that it fills."""

import json
import re

import pytest
from trl.trainer.utils import RepeatSampler

from expctl.data.located import file_source
from expctl.data.rows import rows_of, training_rows
from expctl.data.steps import Batches, NoStepError, check_some_step


@pytest.mark.parametrize(
    ("there", "batches", "numbers"),
    [
        (7, Batches(128, group=16, sampled=128), ["8 prompts", "128 completions", "groups of 16", "are 7"]),
        (1, Batches(16, processes=2, group=16, sampled=32), ["2 prompts", "is 1"]),
        (31, Batches(16, processes=2, drop_last=True), ["32 rows", "are 31"]),
        (0, Batches(16), ["no row"]),
    ],
)
def test_too_few(there, batches, numbers):
    with pytest.raises(NoStepError) as refused:
        check_some_step(there, batches)
    assert all(number in refused.value.what for number in numbers)
    check_some_step(max(1, batches.needed), batches)
    if typed := re.search(r"per_device_train_batch_size=(\d+)", refused.value.do):
        rows, steps = int(typed[1]), (batches.sampled or 0) // (batches.rows * batches.processes)
        sampled = rows * batches.processes * steps if batches.group else None
        assert not batches.group or sampled % batches.group == 0
        check_some_step(there, Batches(rows, batches.processes, batches.group, sampled, batches.drop_last))


def test_a_batch_that_is_not_full_is_trained_on_unless_it_is_dropped():
    check_some_step(1, Batches(64, processes=4))


@pytest.mark.parametrize("there", range(1, 20))
def test_what_passes_is_what_the_sampler_draws_from(there):
    sampler = RepeatSampler(range(there), mini_repeat_count=4, batch_size=8)
    try:
        check_some_step(there, Batches(32, group=4, sampled=32))
        passes = True
    except NoStepError:
        passes = False
    assert passes == bool(list(sampler))


ROWS = [{"prompt": f"{n}+{n}=", "answer": "a,\nb"} for n in range(9)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
        ("rows.json", json.dumps(ROWS, indent=1)),
        ("rows.csv", "prompt,answer\n" + '"1+1=","a,\nb"\n' * 9),
        ("rows.tsv", "prompt\tanswer\n" + "1+1=\t2\n" * 9),
    ],
)
def test_rows_of_a_small_file_are_counted(name, text, tmp_path):
    file = tmp_path / name
    file.write_text(text)
    assert rows_of(file_source(str(file), "dataset.path")) == 9
    options = {"_target_": "expctl.data.files.load", "kind": "prompt-only", "seed": 0, "path": str(file)}
    assert training_rows(options) == 8
    assert training_rows(options | {"eval_size": 0.5}) == 5
    assert training_rows(options | {"eval_path": "other"}) == 9


def test_what_is_large_or_no_data_is_not_counted(tmp_path, monkeypatch):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "1"}\n')
    monkeypatch.setattr("expctl.data.rows.LARGEST_COUNTED", 4)
    options = {"_target_": "expctl.data.files.load", "kind": "prompt-only", "seed": 0, "path": str(file)}
    assert training_rows(options) is None
    assert training_rows(options | {"path": str(tmp_path / "none.jsonl")}) is None
    assert training_rows({"_target_": "my_data.load", "train_size": 1}) is None
    assert training_rows({"_target_": "expctl.data.arithmetic.load", "train_size": 7}) == 7
