"""Kinds of data have TRL's names; how expctl 0.1 spelled them is still understood, and is the same experiment."""

import pytest
import yaml
from fabricated import experiment, run_of

from expctl.base import notice
from expctl.base.data_kinds import COLUMNS, OLD_SPELLINGS
from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.data import arithmetic
from expctl.runs.bundle import read_config, rebuild
from expctl.runs.facts import facts
from expctl.runs.identity import config_hash

ALGORITHMS = {"prompts": "grpo", "completions": "sft", "preferences": "dpo"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notice.notice_once.cache_clear()
    return tmp_path


@pytest.mark.parametrize(("old", "current"), OLD_SPELLINGS.items())
def test_an_old_spelling_that_is_typed_is_the_same_experiment_with_a_notice(old, current, capsys):
    algorithm = f"algorithm={ALGORITHMS[old]}"
    typed, given = compose([algorithm, f"algorithm.kind={old}"]), compose([algorithm])
    assert typed.config == given.config and config_hash(typed) == config_hash(given)
    assert typed.config["dataset"]["kind"] == current == typed.config["algorithm"]["kind"]
    assert check(typed) == []
    said = capsys.readouterr().err
    assert said == f"expctl: algorithm.kind: '{old}' is called '{current}' now (algorithm.kind={old} (command line))\n"


def test_an_old_spelling_in_a_file_of_the_user_s_is_named_with_its_line(folder, capsys):
    (folder / "conf" / "algorithm").mkdir(parents=True)
    file = folder / "conf" / "algorithm" / "mine.yaml"
    file.write_text("# @package _global_\n# Mine.\ndefaults: [grpo, _self_]\nalgorithm:\n  kind: prompts\n")
    for _ in range(2):
        mine = compose(["algorithm=mine"])
    assert mine.config == compose(["algorithm=grpo"]).config and check(mine) == []
    said = capsys.readouterr().err
    assert said == "expctl: algorithm.kind: 'prompts' is called 'prompt-only' now (conf/algorithm/mine.yaml:5)\n"


def test_the_dataset_s_own_kind_is_respelled_wherever_it_is_loaded(capsys):
    typed = compose(["algorithm=sft", "callbacks=completions", "dataset.kind=completions"])
    assert typed.config["dataset"]["kind"] == "prompt-completion"
    assert typed.config["callbacks"]["completions"]["dataset"]["kind"] == "prompt-completion"
    assert "dataset.kind: 'completions'" in capsys.readouterr().err


def test_names_of_today_are_no_matter_for_a_notice(capsys):
    compose(["algorithm=sft", "algorithm.kind=prompt-completion"])
    assert capsys.readouterr().err == ""


def test_the_ids_of_runs_are_those_of_the_old_spelling(folder):
    assert config_hash(compose([])).startswith("90dc4afd")
    old, current = experiment(folder, algorithm__kind="prompts"), experiment(folder, algorithm__kind="prompt-only")
    assert config_hash(old) == config_hash(current)


def test_a_run_of_the_old_spelling_is_read_in_today_s(folder):
    run = run_of(experiment(folder, algorithm__kind="preferences", dataset__kind="preferences"))
    assert yaml.safe_load(run.config.read_text())["algorithm"]["kind"] == "preferences"
    assert read_config(run)["algorithm"]["kind"] == read_config(run)["dataset"]["kind"] == "preference"
    assert rebuild(run).config["algorithm"]["kind"] == "preference"
    assert facts(run)["algorithm.kind"] == "preference"


@pytest.mark.parametrize(("old", "current"), OLD_SPELLINGS.items())
def test_a_loader_takes_both_spellings(old, current):
    sizes = {"seed": 3, "train_size": 8, "eval_size": 4}
    splits, others = arithmetic.load(kind=old, **sizes), arithmetic.load(kind=current, **sizes)
    assert [split.to_list() for split in splits] == [split.to_list() for split in others]
    assert set(COLUMNS[current]) <= set(splits[0].column_names)


@pytest.mark.parametrize("kind", ["unpaired-preference", "stepwise"])
def test_a_kind_that_only_a_loader_of_the_user_s_gives_is_taken_from_it(kind, folder):
    (folder / "mine.py").write_text("def load(*, kind: str, seed: int): ...\n")
    words = [
        "algorithm=dpo",
        f"algorithm.kind={kind}",
        "algorithm.trainer._target_=trl.KTOTrainer",
        "args._target_=trl.KTOConfig",
        "args.loss_type=kto",
    ]
    own = ["dataset._target_=mine.load", "~dataset.train_size", "~dataset.eval_size"]
    assert check(compose([*words, *own])) == []
    (refusal,) = check(compose([*words, "dataset=gsm8k", "dataset.path=nowhere"]))
    assert f"has no '{kind}'" in refusal.what


def test_a_kind_that_there_is_not_is_refused_with_the_nearest():
    (refusal,) = check(compose(["algorithm.kind=prompt_only"]))
    assert refusal.nearest == ["prompt-only"] and "unpaired-preference" in refusal.what
