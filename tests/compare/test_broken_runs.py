"""Broken, partial and foreign folders among the runs: named, left out, and without effect on the others."""

import json
import shutil

import pytest
from synthetic import run, two_algorithms

from expctl.base.refusal import Refusal
from expctl.compare.conclusion import compare_runs

GRPO, GFPO = [0.80, 0.81, 0.79], [0.90, 0.91, 0.93]


def put(file, content):
    return lambda folder: (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)


def edit(file, **changes):
    def change(folder):
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


DAMAGE = {
    "no run.json": lambda folder: (folder / "run.json").unlink(),
    "run.json cut in half": lambda folder: put("run.json", (folder / "run.json").read_text()[:90])(folder),
    "run.json is a list": put("run.json", "[1, 2]"),
    "run.json of another tool": put("run.json", '{"state": "FINISHED"}'),
    "run.json is binary": put("run.json", b"\x00\xff\xfe\x80"),
    "status is no word": edit("run.json", status=7),
    "no config": lambda folder: (folder / "config.yaml").unlink(),
    "config is empty": put("config.yaml", ""),
    "config is no YAML": put("config.yaml", "a: [1, 2\nb: }"),
    "config is a list": put("config.yaml", "- 1"),
    "config has no args": put("config.yaml", "seed: 0"),
    "config's hardware is a word": put("config.yaml", "args: {seed: 0}\nhardware: cpu\nseed: 0"),
    "no summary": lambda folder: (folder / "summary.json").unlink(),
    "summary cut in half": put("summary.json", '{"after": {"eval_re'),
    "summary is a number": put("summary.json", "3"),
    "summary's metrics are a list": edit("summary.json", after=[1]),
    "failed": edit("run.json", status="failed"),
    "interrupted": edit("run.json", status="interrupted"),
    "running, its process gone": edit("run.json", status="running"),
    "never started": edit("run.json", status="created"),
    "a folder": lambda folder: [(folder / "run.json").unlink(), (folder / "run.json").mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_run_that_cannot_be_compared_is_named_and_changes_nothing_else(damage, tmp_path):
    folders = two_algorithms(tmp_path, GRPO, GFPO)
    expected = compare_runs(folders)
    bad = run(tmp_path, 9, 0.0, name="bad-one")
    DAMAGE[damage](bad)
    found = compare_runs([*folders, bad])
    assert found.metrics == expected.metrics and found.groups == expected.groups
    assert len(found.warnings) == len(expected.warnings) + 1 and found.warnings[0].startswith("bad-one left out: ")


ODD = {
    "choices are a list": edit("run.json", choices=[1]),
    "overrides are none": edit("run.json", overrides=None),
    "versions are a word": edit("run.json", versions="new"),
    "devices are a word": edit("run.json", devices="gpu"),
    "the data are a list": edit("run.json", data=[1]),
    "warnings hold numbers": edit("run.json", warnings=[1, None]),
    "the command is no text": edit("run.json", command=None),
    "the command cannot be split": edit("run.json", command="expctl 'a"),
    "no end": edit("run.json", ended=None),
    "metrics hold words": lambda folder: edit("summary.json", after={"eval_reward": 0.95, "note": "a", "x": [1]})(
        folder
    ),
    "times are none": edit("summary.json", seconds=None),
    "steps are a word": edit("summary.json", steps="four"),
    "the last metrics row is cut": put("metrics.jsonl", '{"step": 1, "loss": 1}\n{"step": 2, "lo'),
    "extra files": put("notes.txt", "mine"),
}


@pytest.mark.parametrize("oddity", ODD)
def test_an_odd_field_does_not_end_the_comparison(oddity, tmp_path):
    folders = two_algorithms(tmp_path, GRPO, GFPO)
    ODD[oddity](folders[-1])
    found = compare_runs(folders)
    assert found.metric("eval_reward").differences and found.metric("eval_reward").groups[0].count == 3


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.9", True])
def test_a_value_that_is_no_finite_number_is_left_out_and_named(value, tmp_path):
    folders = two_algorithms(tmp_path, GRPO, GFPO)
    edit("summary.json", after={"eval_reward": value})(folders[1])
    found = compare_runs(folders)
    assert [one.count for one in found.metric("eval_reward").groups] == [2, 3]
    assert found.metric("eval_reward").differences[0].seeds == [0, 2]
    (warning,) = found.warnings
    assert folders[1].name in warning and "no finite number" in warning


def test_a_metric_that_one_group_lacks_is_not_compared(tmp_path):
    extra = [{"eval_reward": value, "eval_completions/mean_length": 9.0} for value in GFPO]
    found = compare_runs(two_algorithms(tmp_path, GRPO, extra))
    assert [one.name for one in found.metrics] == ["eval_reward", "seconds.training"]


def test_a_group_without_any_number_of_a_metric_that_was_asked_for_is_shown_as_none(tmp_path):
    extra = [{"eval_reward": value, "eval_entropy": 0.1} for value in GFPO]
    found = compare_runs(two_algorithms(tmp_path, GRPO, extra), asked=["eval_entropy"]).metric("eval_entropy")
    assert found.groups[0].mean is None and found.groups[0].count == 0
    assert found.differences[0].difference is None and found.differences[0].verdict.word == "too few seeds"


def test_metrics_of_other_lengths_do_not_matter_and_are_read_when_asked(tmp_path):
    folders = [run(tmp_path, seed, rows=[{"step": step, "loss": 1.0} for step in range(seed)]) for seed in (1, 5)]
    from expctl.compare.runs import read

    assert [len(read(folder).rows) for folder in folders] == [1, 5]
    assert compare_runs(folders).metric("eval_reward").groups[0].count == 2


def test_a_run_without_a_seed_is_never_a_pair(tmp_path):
    first = [run(tmp_path, None, value) for value in GRPO]
    second = [run(tmp_path, None, value, config={"args.beta": 0.1}) for value in GFPO]
    found = compare_runs([*first, *second])
    assert not found.metric("eval_reward").differences[0].paired and found.metric("eval_reward").groups[0].count == 3


def test_nothing_that_can_be_compared_is_refused_with_the_reasons(tmp_path):
    with pytest.raises(Refusal) as refused:
        compare_runs([run(tmp_path, 0, status="failed", name="gone-bad")], gone=["never-there"])
    assert "gone-bad" in refused.value.where and "never-there" in refused.value.where


def test_a_run_that_vanishes_while_it_is_read_is_named(tmp_path):
    folders = two_algorithms(tmp_path, GRPO, GFPO)
    shutil.rmtree(folders[0])
    assert compare_runs(folders).warnings[0].startswith(f"{folders[0].name} left out: ")
