"""Help, listing and completion say what can be typed, also for the verbs."""

import pytest

from expctl.cli.main import VERBS, run_words
from expctl.cli.verb_help import VERB_HELP


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_of_its_own_with_examples(verb, capsys):
    assert run_words([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"expctl {verb}") and "Examples:" in shown
    assert run_words(["help", verb]) == 0
    assert capsys.readouterr().out == shown
    assert len({*VERB_HELP.values()}) == len(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_verb_begin_with_it(verb):
    examples = VERB_HELP[verb].partition("Examples:\n")[2].splitlines()
    assert examples and all(line.startswith(f"  expctl {verb}") for line in examples)


def test_help_without_a_verb_is_of_the_whole_command(capsys):
    assert run_words(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"expctl {verb}" in shown for verb in VERBS)
    assert run_words(["seed=1", "--help"]) == 0
    assert capsys.readouterr().out == shown


def test_list_shows_the_options_of_a_named_config_folder(tmp_path, capsys):
    (tmp_path / "algorithm").mkdir()
    (tmp_path / "algorithm" / "mine.yaml").write_text("# @package _global_\n# What I do. And more.\n")
    assert run_words(["list", "algorithm", "--config-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "mine" in shown and "What I do" in shown and "gfpo" in shown
    assert run_words(["list", "algorithm", f"--config-dir={tmp_path}/none"]) == 2
    assert "no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("expctl sh", ["show"]),
        ("expctl show ", ["gfpo-a", "grpo-b"]),
        ("expctl resume gf", ["gfpo-a"]),
        ("expctl list algorithm/re", ["algorithm/reference", "algorithm/replay", "algorithm/resampling"]),
        ("expctl check algorithm=gspo", ["algorithm=gspo", "algorithm=gspo_token"]),
        ("expctl algorithm=gf", ["algorithm=gfpo"]),
    ],
)
def test_completion_knows_verbs_runs_groups_and_overrides(line, suggested, tmp_path, monkeypatch, capfd):
    for name in ("gfpo-a", "grpo-b"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMP_LINE", line)
    assert run_words(["-sc", "query=bash"]) == 0
    assert sorted(capfd.readouterr().out.split()) == suggested
