"""A new run that is nearly an unfinished one is told apart from it; other runs are left alone."""

import os

import pytest
from fabricated import experiment, run_of

from expctl.report.similar_runs import print_similar
from expctl.runs import manifest
from expctl.runs.difference import differences
from expctl.runs.files import Run
from expctl.runs.identity import config_hash, run_id
from expctl.runs.similar import nearest_unfinished


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "my_rewards.py").write_text("a = 1\n")
    return tmp_path


def similar_to(work, **changes):
    new = experiment(work, **changes)
    return nearest_unfinished(Run(work / "outputs" / run_id(new, config_hash(new))), new)


@pytest.mark.parametrize("status", [manifest.INTERRUPTED, manifest.FAILED])
def test_an_unfinished_run_with_other_settings_is_found_with_them(status, work):
    old = run_of(experiment(work), status=status)
    found = similar_to(work, args__learning_rate=1e-4, args__beta=0.1)
    assert found.run.folder == old.folder and found.status == status
    assert found.settings == [("args.learning_rate", 1e-3, 1e-4), ("args.beta", None, 0.1)] and found.files == {}


def test_changed_code_and_data_are_named_as_files(work):
    (work / "rows.jsonl").write_text("{}\n")
    run_of(experiment(work, dataset__path="rows.jsonl"))
    (work / "my_rewards.py").write_text("a = 2\n")
    (work / "rows.jsonl").write_text("{}\n{}\n")
    found = similar_to(work, dataset__path="rows.jsonl")
    assert found.settings == [] and found.files == {"my_rewards.py": "changed", "rows.jsonl": "changed"}


def test_the_nearest_of_several_is_taken(work):
    run_of(experiment(work, args__beta=0.1, args__max_steps=9))
    near = run_of(experiment(work, args__beta=0.1))
    run_of(experiment(work, args__beta=0.2, args__max_steps=9))
    assert similar_to(work, args__beta=0.1, args__learning_rate=1.0).run.folder == near.folder


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1, "args__seed": 1}, {f"args__{letter}": 1 for letter in "abc"}],
    ids=["another seed is a repetition", "more than two settings"],
)
def test_what_was_hardly_meant_is_not_found(changes, work):
    run_of(experiment(work))
    assert similar_to(work, **changes) is None


def test_a_run_that_is_completed_is_not_similar(work):
    run_of(experiment(work), status=manifest.COMPLETED)
    assert similar_to(work, args__beta=0.1) is None


def test_a_damaged_neighbour_is_passed_over(work):
    broken, empty = (run_of(experiment(work, args__beta=beta)) for beta in (0.1, 0.2))
    broken.config.write_text("{")
    empty.manifest.write_text("")
    assert similar_to(work, args__beta=0.3) is None


def test_of_a_thousand_neighbours_only_the_latest_alike_are_opened(work, monkeypatch):
    old = run_of(experiment(work))
    for number in range(500):
        for label in ("gfpo-tiny-arithmetic-s0", "sft-tiny-arithmetic-s0"):
            folder = work / "outputs" / f"{label}-{number:08x}"
            folder.mkdir()
            os.utime(folder, (number, number))
    read = []
    monkeypatch.setattr(manifest, "read", lambda run, read_one=manifest.read: read.append(run) or read_one(run))
    assert similar_to(work, args__beta=0.1).run.folder == old.folder
    assert len(read) <= 20 and all(run.run_id.startswith("gfpo") for run in read)


def test_a_run_that_has_another_id_for_an_immaterial_setting_is_found_with_it(work):
    old = run_of(experiment(work, args__save_steps=10))
    old = Run(old.folder.rename(old.folder.with_name(f"{old.run_id[:-8]}01234567")))
    found = similar_to(work)
    assert found.run.folder == old.folder and found.settings == [("args.save_steps", 10, None)] and not found.files


def test_the_note_names_the_run_its_step_the_settings_and_the_command(work, capsys):
    old = run_of(experiment(work, args__gradient_checkpointing=True))
    checkpoint = old.checkpoints / "checkpoint-20"
    checkpoint.mkdir(parents=True)
    (checkpoint / "complete.json").write_text("{}")
    print_similar(similar_to(work, args__learning_rate=1e-4))
    said = capsys.readouterr().err
    assert "an interrupted one" in said and "checkpoint at step 20" in said
    assert "args.learning_rate" in said and "0.001 -> 0.0001" in said and "true -> none" in said
    assert said.endswith(f"  expctl resume {old.run_id}\n")


def test_the_note_says_where_the_code_is_that_has_to_be_put_back(work, capsys):
    old = run_of(experiment(work))
    (work / "my_rewards.py").write_text("a = 2\n")
    print_similar(similar_to(work))
    said = capsys.readouterr().err
    assert f"put my_rewards.py back as it was (its code: {old.folder / 'sources'})" in said


def test_differences_are_told_leaf_by_leaf():
    assert differences({"a": {"b": 1, "c": [1]}, "d": None}, {"a": {"b": 1, "c": [2]}, "e": False}) == [
        ("a.c", [1], [2]),
        ("e", None, False),
    ]
