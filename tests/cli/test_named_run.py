"""What `expctl resume` and `expctl rerun` take a name for, and what they refuse, before anything is started."""

import io
import json
import shutil
from dataclasses import replace

import pytest
from fabricated import experiment, run_of

from expctl.base.exit_codes import EXIT_FAILED
from expctl.base.refusal import Refusal
from expctl.cli.main import run_words
from expctl.cli.named_run import as_it_was
from expctl.cli.rerun import rerun_folder
from expctl.cli.trust import ask_for_trust
from expctl.launch.launch import Outcome
from expctl.runs import manifest
from expctl.runs.files import Run, read_json, write_json
from expctl.runs.identity import config_hash
from expctl.runs.seal import broken


@pytest.fixture
def run(tmp_path, monkeypatch):
    """An interrupted run of the folder `work`; the working folder is another."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    for name in ("EXPCTL_OUTPUTS", "RANK", "WORLD_SIZE", "EXPCTL_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("work", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "work" / "my_rewards.py").write_text("a = 1\n")
    return run_of(experiment(tmp_path / "work", args__beta=0.1))


def refused(capsys, *words):
    assert run_words([*words]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("verb", ["resume", "rerun"])
def test_a_changed_setting_is_another_run(verb, run, capsys):
    said = refused(capsys, verb, "gfpo", "args.beta=0.2")
    assert "another run" in said and "expctl args.beta=0.1 args.beta=0.2" in said


@pytest.mark.parametrize("verb", ["resume", "rerun"])
def test_a_verb_without_a_run_or_with_an_unknown_one_says_what_to_type(verb, run, capsys):
    assert f"expctl {verb} RUN" in refused(capsys, verb)
    assert run.run_id in refused(capsys, verb, run.run_id[:-1] + "x")


@pytest.mark.parametrize("verb", ["resume", "rerun"])
def test_a_run_of_a_newer_format_is_left_alone(verb, run, capsys):
    write_json(run.manifest, read_json(run.manifest) | {"format": 99})
    said = refused(capsys, verb, "gfpo")
    assert "format 99" in said and "newer expctl" in said


def test_code_that_has_changed_is_named_with_the_ways_out(run, tmp_path, capsys):
    (tmp_path / "work" / "my_rewards.py").write_text("a = 2\n")
    before = run.manifest.read_bytes()
    said = refused(capsys, "resume", "gfpo")
    assert "my_rewards.py (changed)" in said and str(run.folder / "sources") in said
    assert "expctl args.beta=0.1" in said and f"expctl rerun {run.run_id}" in said
    assert run.manifest.read_bytes() == before


def test_a_config_that_was_edited_in_the_run_is_refused(run, capsys):
    run.config.write_text(run.config.read_text().replace("beta: 0.1", "beta: 0.2"))
    assert "this has changed: its config.yaml" in refused(capsys, "resume", "gfpo")


def test_a_working_folder_that_is_gone_is_refused_with_the_way_out(run, tmp_path, capsys):
    there = str(shutil.move(run.folder, tmp_path / "kept"))
    shutil.rmtree(tmp_path / "work")
    said = refused(capsys, "resume", there)
    assert "is gone" in said and f"expctl rerun {there}" in said


@pytest.mark.parametrize("verb", ["resume", "rerun"])
@pytest.mark.parametrize("name", ["config.yaml", "run.json"])
def test_a_run_whose_files_are_damaged_is_refused_by_the_file(name, verb, run, capsys):
    (run.folder / name).write_text("{")
    assert str(run.folder) in refused(capsys, verb, str(run.folder))


@pytest.mark.parametrize("verb", ["resume", "rerun"])
def test_no_process_of_a_launched_group_does_it_on_its_own(verb, run, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "distributed launch" in refused(capsys, verb, "gfpo")


def test_a_run_that_is_completed_is_shown_even_where_its_code_has_changed(run, tmp_path, capsys):
    (tmp_path / "work" / "my_rewards.py").write_text("a = 2\n")
    run.summary.write_text(json.dumps({"objective": 0.5, "objective_name": "eval_reward", "steps": 4}))
    manifest.end_attempt(run, manifest.COMPLETED, to_step=4, exit_code=0)
    assert run_words(["resume", "gfpo"]) == 0
    said = capsys.readouterr().out
    assert "was completed" in said and "eval_reward = 0.5" in said


def test_an_unfinished_rerun_is_carried_on_and_a_finished_or_other_one_is_left_alone(run, tmp_path):
    described = experiment(tmp_path / "work", args__beta=0.1)
    other, reruns = experiment(tmp_path / "work", args__beta=0.2), run.folder.parent / "reruns"
    assert rerun_folder(run, described) == reruns / f"{run.run_id}-1"
    first = run_of(replace(described, code=run.sources), reruns)
    first = Run(first.folder.rename(reruns / f"{run.run_id}-1"))
    assert rerun_folder(run, described) == first.folder
    assert rerun_folder(run, other) == reruns / f"{run.run_id}-2"
    manifest.end_attempt(first, manifest.COMPLETED, to_step=4, exit_code=0)
    assert rerun_folder(run, described) == reruns / f"{run.run_id}-2"


def test_a_rerun_keeps_the_code_of_the_run_and_not_what_lies_in_the_folder_now(run, tmp_path):
    (tmp_path / "work" / "my_rewards.py").write_text("a = 2\n")
    described = replace(as_it_was(run), code=run.sources)
    again = run_of(described, run.folder.parent / "reruns")
    assert (again.sources / "my_rewards.py").read_text() == "a = 1\n"
    assert manifest.read(again).config_hash == manifest.read(run).config_hash
    assert manifest.read(again).rerun_of == str(run.folder)
    assert config_hash(as_it_was(again)) == manifest.read(run).config_hash


@pytest.mark.parametrize("verb", ["resume", "rerun"])
def test_a_run_that_was_made_elsewhere_is_refused_until_it_is_trusted(verb, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))  # another user's: the key is another
    executed = []
    monkeypatch.setattr(
        f"expctl.cli.{verb}.run_experiment", lambda *given: executed.append(given) or Outcome(EXIT_FAILED)
    )
    monkeypatch.setattr("expctl.cli.rerun.print_drift", lambda *given: None)
    said = refused(capsys, verb, "gfpo")
    assert "sources/my_rewards.py" in said and f"modules in {tmp_path / 'work'}" in said
    assert f"expctl {verb} {run.folder} --trust" in said
    assert len(said.splitlines()) < 6 and not executed
    assert run_words([verb, "gfpo", "--trust"]) == EXIT_FAILED
    assert run_words([verb, "gfpo"]) == EXIT_FAILED, "it is not asked about again"
    assert len(executed) == 2


@pytest.mark.parametrize(("answer", "trusted"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_who_sits_at_a_terminal_is_asked(answer, trusted, run, monkeypatch, capsys):
    run.seal.unlink()
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    if trusted:
        ask_for_trust("resume", run, as_it_was(run), trusted=False)
        assert broken(run) is None
    else:
        with pytest.raises(Refusal):
            ask_for_trust("resume", run, as_it_was(run), trusted=False)
    assert "sources/my_rewards.py" in capsys.readouterr().err
