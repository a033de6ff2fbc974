"""The way from words to a claimed run: a new run that is nearly an unfinished one is announced, once and only then."""

import pytest

from expctl.cli.hydra_app import compose
from expctl.cli.prepare import prepare
from expctl.runs import manifest
from expctl.runs.lock import is_held


@pytest.fixture
def claim(tmp_path, monkeypatch):
    """Composes words in an empty working folder and claims their run; what was claimed, its lock given up."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("EXPCTL_OUTPUTS", raising=False)
    monkeypatch.chdir(tmp_path)

    def claim(*words, **options):
        claimed = prepare(compose(["algorithm=sft", *words]), **options)
        claimed.held.release()
        return claimed

    return claim


@pytest.fixture
def interrupted(claim):
    run = claim().run
    manifest.start_attempt(run, 0, {})
    manifest.end_attempt(run, manifest.INTERRUPTED, to_step=0, exit_code=75)
    return run


def test_a_changed_setting_is_announced_beside_the_run_that_it_leaves(interrupted, claim, capsys):
    new = claim("args.learning_rate=1e-5")
    said = capsys.readouterr().err
    assert new.new and f"expctl resume {interrupted.run_id}" in said
    assert "args.learning_rate  0.001 -> 1e-05" in said


def test_the_same_command_and_a_run_that_is_carried_on_announce_nothing(interrupted, claim, capsys):
    assert not claim().new
    claim("args.learning_rate=1e-5")
    capsys.readouterr()
    assert not claim("args.learning_rate=1e-5").new
    assert capsys.readouterr().err == ""


def test_a_run_that_is_done_again_announces_nothing(interrupted, claim, capsys, tmp_path):
    claim("args.learning_rate=1e-6", folder=tmp_path / "outputs" / "reruns" / f"{interrupted.run_id}-1")
    assert capsys.readouterr().err == ""


def test_a_disk_that_is_full_once_the_run_is_claimed_fails_it_in_one_message(monkeypatch, tmp_path, claim, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "note", full)
    outcome = prepare(compose(["algorithm=sft"]))
    [run] = (tmp_path / "outputs").iterdir()
    assert (outcome.exit_code, outcome.status) == (1, "failed")
    assert f"the run failed: {run} cannot be written: No space left on device" in capsys.readouterr().err
    monkeypatch.undo()
    assert not is_held(run / ".lock")
