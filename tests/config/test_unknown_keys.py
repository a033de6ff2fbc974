"""A key that is none: the nearest right one is named with the group that it lies in."""

import pytest

from expctl.cli.main import run_words


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("learning_rate=1e-4", "args.learning_rate"),
        ("weigth_decay=0.1", "args.weight_decay"),  # of TRL's class, in no file of ours
        ("num_processes=2", "hardware.num_processes"),
        ("eval_size=8", "dataset.eval_size"),
        ("seeed=1", "seed"),
        ("algoritm=gfpo", "algorithm"),
    ],
)
def test_a_key_without_its_group_is_told_with_it(word, nearest, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_words([word]) == 2
    assert f"nearest  {nearest}\n" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_row_without_its_table_is_told_to_choose_that(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_words(["experiment/gfpo_paper_mini=grpo"]) == 2
    said = capsys.readouterr().err
    assert "not chosen" in said and "expctl experiment=gfpo_paper_mini experiment/gfpo_paper_mini=grpo" in said


def test_a_path_with_a_tilde_is_told_how_hydra_takes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_words(["model.path=~/models/mine"]) == 2
    assert """'model.path="~/models/mine"', or write model.path=$HOME/models/mine""" in capsys.readouterr().err


def test_an_experiments_file_may_set_a_key_of_the_root(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\n# Mine.\nseed: 7\n")
    for words, seed in ((["experiment=mine"], 7), (["experiment=mine", "seed=3"], 3)):
        assert run_words(["check", *words]) == 0
        assert f"gfpo-tiny-arithmetic-s{seed}-" in capsys.readouterr().out


def test_the_version_is_expctls_own_and_of_what_it_stands_on(capsys):
    assert run_words(["--version"]) == 0
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert {"expctl", "trl", "transformers", "torch", "python"} <= said.keys()


@pytest.mark.parametrize(
    ("word", "nearest"), [("reward.on_error=mising", "missing"), ("reward.on_eror=missing", "on_error")]
)
def test_a_word_on_failing_rewards_is_one_of_two(word, nearest, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_words([word]) == 2
    assert f"nearest  {nearest}\n" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_learning_rate_for_an_algorithm_is_refused_with_the_line_of_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)
    (tmp_path / "conf" / "algorithm" / "mine.yaml").write_text(
        "# @package _global_\n# Mine.\ndefaults: [grpo, _self_]\nalgorithm:\n  learning_rate: 1.0e-4\n"
    )
    assert run_words(["check", "algorithm=mine"]) == 2
    refusal = capsys.readouterr().err
    assert "`full` and `adapter`" in refusal and "conf/algorithm/mine.yaml:5" in refusal
