"""What a job of a scheduler reads is data that this user has written, whoever else can write to the shared folder."""

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fabricated import experiment

from expctl.cli.scheduler_task import SchedulerTask
from expctl.runs.files import Run, write_yaml
from expctl.runs.seal import key_file
from expctl.sweep.job import SweepJob, Waiting
from expctl.sweep.submission import ForeignSubmissionError, Submission, read, write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A submission of one job."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("EXPCTL_OUTPUTS", raising=False)
    state = Waiting(replace(experiment(tmp_path), runs_remotely=True), Run(tmp_path / "outputs" / "a"))
    return Submission([SweepJob(("seed=0",), ("seed=0",), state)], "slurm").folder


@pytest.mark.parametrize("code", [None, Path("/somewhere/sources")])
def test_an_experiment_is_read_as_it_was_submitted(code, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    config = {"a": 1e-5, "b": float("inf"), "c": [None, True, "1e-5", "é\u2028\x1b"], "d": {0: "zero", "x": {}}}
    submitted = replace(experiment(tmp_path), config=config, code=code, sources={"a": "a=1 (command line)"})
    write(tmp_path, 3, submitted, "an id")
    assert read(tmp_path, 3) == (submitted, "an id")


def test_the_folder_of_a_submission_is_closed_to_others_and_holds_no_pickle_of_ours(folder):
    assert folder.stat().st_mode & 0o077 == 0
    assert sorted(file.name for file in folder.iterdir()) == ["0.yaml", "cells.json"]
    assert not read(folder, 0)[0].runs_remotely


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def _altered(folder, change):
    told = yaml.safe_load((folder / "0.yaml").read_text())
    write_yaml(folder / "0.yaml", change(told))


ALTERED = {
    "another target": lambda folder: _altered(
        folder, lambda told: told | {"content": told["content"].replace("trl.GRPOTrainer", "os.system")}
    ),
    "no signature": lambda folder: _altered(folder, lambda told: told | {"hmac": None}),
    "odd signature": lambda folder: _altered(folder, lambda told: told | {"hmac": 7}),
    "no mapping": lambda folder: _altered(folder, lambda told: [told]),
    "no text": lambda folder: _altered(folder, lambda told: told | {"content": 1}),
    "a YAML that makes objects": lambda folder: (folder / "0.yaml").write_text("!!python/object/apply:os.mkdir [x]"),
    "nothing": lambda folder: (folder / "0.yaml").write_bytes(b""),
    "no text at all": lambda folder: (folder / "0.yaml").write_bytes(b"\xff\0\1"),
    "a pickle": lambda folder: (folder / "0.yaml").write_bytes(pickle.dumps(Bomb(folder / "executed"))),
    "a pipe": lambda folder: ((folder / "0.yaml").unlink(), os.mkfifo(folder / "0.yaml")),
    "no key any more": lambda folder: key_file().unlink(),
    "another's key": lambda folder: key_file().write_text("0" * 64),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_another_has_written_is_not_executed(what, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    ALTERED[what](folder)
    with pytest.raises(ForeignSubmissionError):
        read(folder, 0)
    assert not (folder / "executed").exists() and not (folder / "x").exists()


def test_a_job_does_not_take_anothers_place(folder):
    shutil.copy(folder / "0.yaml", folder / "1.yaml")
    with pytest.raises(ForeignSubmissionError):
        read(folder, 1)


def test_a_file_of_another_user_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(ForeignSubmissionError, match="another user"):
        read(folder, 0)


def test_a_job_says_so_and_goes(folder, monkeypatch, capsys):
    ALTERED["another target"](folder)
    monkeypatch.setattr("expctl.cli.scheduler_task.job_number", lambda: 0)
    assert SchedulerTask(folder)(None) is None
    assert "not signed with your key" in capsys.readouterr().err


def test_without_a_place_for_a_key_the_owner_of_the_file_decides(tmp_path, monkeypatch):
    (tmp_path / "settings").write_text("a file in the place of the folder")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    write(tmp_path, 0, experiment(tmp_path), "an id")
    assert read(tmp_path, 0)[1] == "an id"
