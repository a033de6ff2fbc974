"""A tracker whose package is not installed is refused before anything is created, with what to install."""

import pytest

from expctl.cli.main import run_words
from expctl.config.checks import tracker


@pytest.mark.parametrize("name", tracker.PACKAGES)
def test_a_tracker_without_its_package_names_the_extra(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracker, "find_spec", lambda package: None)
    assert run_words([f"tracker={name}"]) == 2
    said = capsys.readouterr().err
    assert f"tracker={name}" in said and f'pip install "expctl[{name}]"' in said
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_the_address_of_a_tracker_is_refused_and_not_repeated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracker, "find_spec", lambda package: object())
    assert run_words(["tracker=mlflow", "tracker.uri=https://user:hunter22@mlflow.example"]) == 2
    said = capsys.readouterr().err
    assert "'tracker.uri' holds" in said and "MLFLOW_TRACKING_PASSWORD" in said and "hunter22" not in said
    assert list(tmp_path.iterdir()) == []
    assert run_words(["check", "tracker=mlflow", "tracker.uri=https://mlflow.example"]) == 0


def test_a_tracker_with_its_package_is_none_of_its_business(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracker, "find_spec", lambda package: object())
    assert run_words(["check", "tracker=trackio"]) == 0
