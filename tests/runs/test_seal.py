"""The seal of a run tells what this user's expctl described from everything else."""

import json
import os
import shutil
from multiprocessing import get_context

import pytest
from fabricated import experiment, run_of

from expctl.runs import manifest
from expctl.runs.bundle import describe_again, read_config
from expctl.runs.files import write_json
from expctl.runs.seal import broken, key_file, seal_run, sign


@pytest.fixture
def run(tmp_path, monkeypatch):
    """An interrupted run with code of its own, made with a key that lies in `settings`."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "my_rewards.py").write_text("a = 1\n")
    return run_of(experiment(tmp_path, args__beta=0.1))


def edit_manifest(run, **changes):
    write_json(run.manifest, json.loads(run.manifest.read_text()) | changes)


def test_a_run_is_sealed_when_it_is_described_and_stays_so_while_it_goes_on(run):
    assert broken(run) is None
    manifest.note(run, "notes", ["a word"])
    manifest.start_attempt(run, 2, {})
    run.metrics.write_text("{}\n")
    assert broken(run) is None
    assert key_file().stat().st_mode & 0o777 == 0o600


def test_a_folder_that_was_moved_keeps_its_seal(run, tmp_path):
    moved = type(run)(run.folder.rename(tmp_path / "moved"))
    assert broken(moved) is None


def wandb_settings(run):
    (run.folder / "wandb").mkdir()
    (run.folder / "wandb" / "settings").write_text("[default]\nbase_url = http://elsewhere\n")


def other_key(run):
    key_file().write_text("0" * 64 + "\n")


ALTERED = {
    "config": lambda run: run.config.write_text(run.config.read_text() + "x: 1\n"),
    "code": lambda run: (run.sources / "my_rewards.py").write_text("a = 2\n"),
    "code that hides a library": lambda run: (run.sources / "trl.py").write_text(""),
    "compiled code": lambda run: (run.sources / "my_rewards.pyc").write_bytes(b"\0"),
    "code that is a link": lambda run: (run.sources / "more.py").symlink_to("/etc/hostname"),
    "code that is gone": lambda run: shutil.rmtree(run.sources),
    "code that is a pipe": lambda run: os.mkfifo(run.sources / "pipe.py"),
    "another working folder": lambda run: edit_manifest(run, folder="/tmp"),
    "code before the libraries": lambda run: edit_manifest(run, rerun_of="/tmp"),
    "another server for a key": wandb_settings,
    "another word": lambda run: edit_manifest(run, overrides=["+x=1"]),
    "no seal": lambda run: run.seal.unlink(),
    "a seal that is none": lambda run: run.seal.write_text("[1]"),
    "a seal of odd values": lambda run: run.seal.write_text('{"sealed": 1, "hmac": "\\u00e9"}'),
    "a seal of no ASCII": lambda run: run.seal.write_text('{"sealed": "{}", "hmac": "\\u00e9"}'),
    "a forged seal": lambda run: run.seal.write_text('{"sealed": "{}", "hmac": "00"}'),
    "another's key": other_key,
    "no key": lambda run: key_file().unlink(),
    "a key for all": lambda run: key_file().chmod(0o644),
    "a damaged key": lambda run: key_file().write_text("not hexadecimal"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_is_not_this_users_own_breaks_the_seal(what, run):
    ALTERED[what](run)
    assert broken(run)


def test_a_folder_of_another_user_is_not_trusted_even_with_a_seal(run, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: run.folder.stat().st_uid + 1)
    assert "another user" in broken(run)


def test_a_run_without_a_key_is_made_without_a_seal(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "settings").write_text("a file in the place of the folder")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "my_rewards.py").write_text("a = 1\n")
    run = run_of(experiment(tmp_path))
    assert not run.seal.exists() and not seal_run(run)
    assert broken(run)


def _signed(_):
    return sign(b"the same", make=True)


def test_commands_that_make_the_key_at_the_same_moment_have_one_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with get_context("fork").Pool(8) as pool:
        assert len(set(pool.map(_signed, range(32)))) == 1
    assert [file.name for file in key_file().parent.iterdir()] == ["seal.key"]


def test_the_command_typed_again_executes_what_was_typed_and_not_what_lies_in_the_folder(run, tmp_path):
    run.config.write_text("algorithm: {trainer: {_target_: os.system}}\n")
    (run.sources / "trl.py").write_text("")
    wandb_settings(run)
    edit_manifest(run, rerun_of="/tmp", folder="/tmp")
    typed = experiment(tmp_path, args__beta=0.1)
    describe_again(run, typed)
    assert broken(run) is None
    assert "os.system" not in run.config.read_text()
    assert [file.name for file in run.sources.iterdir()] == ["my_rewards.py"]
    assert not any((run.folder / "wandb").iterdir())
    recorded = manifest.read(run)
    assert recorded.rerun_of is None and recorded.folder == str(tmp_path) and len(recorded.attempts) == 1


@pytest.mark.parametrize("changes", [{}, {"force": True}, {"args__learning_rate": 1.0}], ids=str)
def test_a_run_of_ones_own_keeps_what_it_was_started_with(changes, run, tmp_path):
    before = run.config.read_bytes(), run.manifest.read_bytes()
    assert describe_again(run, experiment(tmp_path, args__beta=0.1, **changes)) == []
    assert (run.config.read_bytes(), run.manifest.read_bytes()) == before


def test_a_run_of_ones_own_takes_over_what_cannot_change_its_result(run, tmp_path):
    before = manifest.read(run)
    changes = {"tracker__report_to": "wandb", "args__save_steps": 10, "name": "mine"}
    sentences = describe_again(run, experiment(tmp_path, args__beta=0.1, **changes))
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "args.save_steps is 10 from here on (it was null)",
        "tracker.report_to is wandb from here on (it was none)",
        "name is mine from here on (it was null)",
    ]
    config = read_config(run)
    assert (config["tracker"]["report_to"], config["args"]["save_steps"], config["name"]) == ("wandb", 10, "mine")
    after = manifest.read(run)
    assert broken(run) is None and "args.save_steps=10" in after.overrides and after.name == "mine"
    assert after.config_hash == before.config_hash and after.attempts == before.attempts
