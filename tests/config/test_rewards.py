"""A reward whose package is not installed is refused before anything is created, with what to install."""

import pytest

from expctl.cli.hydra_app import compose
from expctl.cli.main import run_words
from expctl.config.check import check
from expctl.config.checks import rewards

ALGEBRA = "expctl.rewards.expressions.accuracy"


@pytest.mark.parametrize(
    "words", [["reward=math"], ["reward=accuracy_within", f"reward.functions.within.reward._target_={ALGEBRA}"]]
)
def test_a_reward_without_its_package_names_the_extra(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rewards, "find_spec", lambda package: None)
    assert run_words(words) == 2
    said = capsys.readouterr().err
    assert ALGEBRA in said and 'pip install "expctl[math]"' in said
    assert list(tmp_path.iterdir()) == []


def test_a_reward_with_its_package_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_words(["check", "reward=math"]) == 0


@pytest.mark.parametrize("typed", ["null", "{}"])
def test_no_function_at_all_is_not_taken_for_those_of_the_dataset(typed):
    (refusal,) = check(compose(["hardware=cpu", f"reward.functions={typed}"]))
    assert "takes no function away" in refusal.what and "~reward.functions.accuracy" in refusal.do
