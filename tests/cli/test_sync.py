"""`expctl sync`: what is uploaded, what is not, and what it says; wandb's own command is stood in for."""

import json
import os
from pathlib import Path

import pytest
from fabricated import experiment, run_of

from expctl.cli.main import run_words
from expctl.runs.lock import Lock

# Notes what it was called with, and marks what it was given as the real one does, up to $REFUSED.
WANDB = """
import json, os, sys
from pathlib import Path
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps([sys.argv[1:], "WANDB_MODE" in os.environ]) + "\\n")
refused = os.environ.get("REFUSED", "*")
for folder in map(Path, sys.argv[2:]):
    for file in folder.glob("*.wandb"):
        if refused in str(file):
            sys.exit(3)
        Path(f"{file}.synced").touch()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder, with a `wandb` that is ours and a key that is set."""
    for name in ("EXPCTL_OUTPUTS", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "ours" / "wandb").mkdir(parents=True)
    (tmp_path / "ours" / "wandb" / "__init__.py").touch()
    (tmp_path / "ours" / "wandb" / "__main__.py").write_text(WANDB)
    work = tmp_path / "work"
    work.mkdir()
    (work / "my_rewards.py").write_text("a = 1\n")
    monkeypatch.chdir(work)
    for name, value in {
        "PYTHONPATH": tmp_path / "ours",
        "CALLS": tmp_path / "calls",
        "HOME": tmp_path,
        "EXPCTL_CACHE": tmp_path / "cache",
        "WANDB_MODE": "offline",
        "WANDB_API_KEY": "0" * 40,
    }.items():
        monkeypatch.setenv(name, str(value))
    return work


def calls() -> list:
    file = Path(os.environ["CALLS"])
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def recorded(folder: Path, seed: int, attempts: int = 1):
    run = run_of(experiment(folder, seed=seed))
    for attempt in range(attempts):
        recording = run.folder / "wandb" / f"offline-run-20260101_00000{attempt}-{run.run_id}"
        recording.mkdir(parents=True)
        (recording / f"run-{run.run_id}.wandb").touch()
    return run


def test_what_was_recorded_is_handed_up_once_with_the_attempts_of_a_run_in_order(folder, capfd):
    first, second, silent = recorded(folder, 0, attempts=2), recorded(folder, 1), run_of(experiment(folder, seed=2))
    assert run_words(["sync"]) == 0
    said = capfd.readouterr().out
    assert f"uploaded  {first.run_id}" in said and f"uploaded  {second.run_id}" in said
    assert silent.run_id not in said
    ((words, has_mode),) = calls()
    assert words[0] == "sync"
    assert [Path(word).parent.parent for word in words[1:]] == [first.folder, first.folder, second.folder]
    assert words[1:3] == sorted(words[1:3])
    assert not has_mode, "wandb sync would stay offline"
    assert run_words(["sync"]) == 0
    assert len(calls()) == 1 and "2 runs were uploaded before" in capfd.readouterr().out


def test_a_later_attempt_is_handed_up_alone(folder):
    run = recorded(folder, 0, attempts=2)
    earlier, later = sorted((run.folder / "wandb").iterdir())
    next(earlier.glob("*.wandb")).with_name(f"run-{run.run_id}.wandb.synced").touch()
    assert run_words(["sync"]) == 0
    assert calls()[0][0] == ["sync", str(later)]


@pytest.mark.parametrize("words", [["seed=1"], ["{run}"], ["sweep-1"]], ids=["filter", "run", "sweep"])
def test_only_the_runs_that_are_named_are_handed_up(words, folder):
    recorded(folder, 0)
    named = recorded(folder, 1)
    (folder / "outputs" / "sweeps").mkdir()
    ledger = {"sweep_id": "sweep-1", "cells": [{"run_id": named.run_id}]}
    (folder / "outputs" / "sweeps" / "sweep-1.json").write_text(json.dumps(ledger))
    assert run_words(["sync", *(word.format(run=named.run_id) for word in words)]) == 0
    assert [Path(word).parent.parent.name for word in calls()[0][0][1:]] == [named.run_id]


def test_without_a_key_nothing_is_called_and_what_to_set_is_said(folder, monkeypatch, capfd):
    recorded(folder, 0)
    monkeypatch.delenv("WANDB_API_KEY")
    assert run_words(["sync"]) == 2
    assert "WANDB_API_KEY" in capfd.readouterr().err and not calls()
    (Path(os.environ["HOME"]) / ".netrc").write_text("machine api.wandb.ai login user password " + "0" * 40)
    assert run_words(["sync"]) == 0


def test_what_did_not_arrive_is_named_and_the_exit_code_says_so(folder, monkeypatch, capfd):
    first, second = recorded(folder, 0), recorded(folder, 1)
    monkeypatch.setenv("REFUSED", second.run_id)
    assert run_words(["sync"]) == 1
    said = capfd.readouterr()
    assert f"uploaded  {first.run_id}" in said.out.splitlines()
    assert f"not uploaded  {second.run_id}" in said.out and "ended with 3" in said.err


def test_a_run_under_way_is_left_alone(folder, capfd):
    run = recorded(folder, 0)
    held = Lock(run.lock)
    assert run_words(["sync"]) == 0
    assert f"still running  {run.run_id}" in capfd.readouterr().out and not calls()
    held.release()


def test_where_nothing_was_recorded_that_is_said(folder, capfd):
    run_of(experiment(folder))
    assert run_words(["sync"]) == 0
    assert "nothing was recorded offline" in capfd.readouterr().out
