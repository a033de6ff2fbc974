"""A secret in the config is refused before it is written anywhere."""

import pytest
from fabricated import experiment

from expctl.config.checks.secrets import check_secrets


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("SERVICE_KEY", "abcdefgh1234")


@pytest.mark.parametrize("value", ["abcdefgh1234", "https://ann:abcdefgh1234@hub.example/rows.jsonl"])
def test_a_value_that_holds_one_of_the_environment_is_refused_by_key_and_variable(value, tmp_path):
    (refusal,) = check_secrets(experiment(tmp_path, dataset__path=value))
    assert "dataset.path" in refusal.what and "SERVICE_KEY" in refusal.do


def test_a_token_that_is_typed_is_refused_whatever_the_environment(tmp_path):
    (refusal,) = check_secrets(experiment(tmp_path, args__hub_token="typed"))
    assert "args.hub_token" in refusal.what
    assert check_secrets(experiment(tmp_path, args__hub_token=None)) == []


def test_other_values_are_not(tmp_path):
    assert check_secrets(experiment(tmp_path)) == []
