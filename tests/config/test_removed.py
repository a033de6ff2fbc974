"""Methods that TRL removed are refused with what replaces them; its experimental ones are named as such, once."""

from importlib.metadata import files
from pathlib import Path

import pytest

from expctl.base.notice import notice_once
from expctl.cli.main import run_words
from expctl.config.experimental import experimental_module
from expctl.config.groups import group_options
from expctl.config.removed import REMOVED

GMPO = ["algorithm=grpo", "algorithm.trainer._target_=trl.experimental.gmpo.GMPOTrainer", "hardware=cpu"]
GMPO += ["args._target_=trl.experimental.gmpo.GMPOConfig"]


def installed_methods():
    parts = [Path(str(file)).parts for file in files("trl")]
    return {part[2] for part in parts if part[:2] == ("trl", "experimental") and len(part) > 3}


def test_what_is_called_removed_is_not_in_the_installed_trl():
    assert not REMOVED.keys() & installed_methods()
    assert {"gmpo", "orpo"} <= installed_methods()  # the folder is the right one


def test_what_replaces_a_removed_method_is_there():
    named = {option for method in REMOVED.values() for option in method.instead}
    assert named <= group_options("algorithm").keys()


@pytest.mark.parametrize("name", sorted(REMOVED.keys() - group_options("algorithm").keys()))
def test_a_removed_method_is_refused_with_what_replaces_it(name, capsys):
    assert run_words(["check", f"algorithm={name}"]) == 2
    message = capsys.readouterr().err
    assert f"TRL has no {name} since {REMOVED[name].since}" in message
    assert f"algorithm={REMOVED[name].instead[0]}" in message and f"algorithm={name} (command line)" in message


@pytest.mark.parametrize("word", ["PPO", "nash-md", "NashMD"])
def test_other_spellings_of_it_too(word, capsys):
    assert run_words(["check", f"algorithm={word}"]) == 2
    assert "TRL has no" in capsys.readouterr().err


def test_a_trainer_of_a_removed_method_is_refused_by_its_path_too(capsys):
    words = ["algorithm=grpo", "algorithm.trainer._target_=trl.experimental.ppo.PPOTrainer", "hardware=cpu"]
    assert run_words(["check", *words]) == 2
    assert "TRL has no ppo since 1.13" in capsys.readouterr().err


def test_what_derives_from_an_experimental_trainer_is_experimental(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert experimental_module("trl.experimental.gmpo.GMPOTrainer") == "trl.experimental.gmpo"
    assert experimental_module("trl.GRPOTrainer") is None and experimental_module("nothing.at_all") is None


def test_the_notice_is_said_once_and_can_be_silenced(capfd, monkeypatch):
    monkeypatch.delenv("TRL_EXPERIMENTAL_SILENCE", raising=False)
    assert run_words(["check", *GMPO]) == 0
    said = capfd.readouterr().err
    assert said.count("is experimental in TRL") == 1 and "trl.experimental.gmpo" in said
    notice_once.cache_clear()
    assert run_words(["check", "-m", "seed=0,1", *GMPO]) == 0  # of all cells of a sweep together
    said = capfd.readouterr().err
    assert said.count("is experimental in TRL") == 1
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    assert run_words(["check", *GMPO]) == 0
    assert "experimental" not in capfd.readouterr().err
