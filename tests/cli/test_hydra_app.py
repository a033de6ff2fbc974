"""Composing returns an experiment, or nothing where Hydra is asked for something else."""

import os

import pytest

from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose, is_multirun


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_words_that_ask_hydra_for_a_listing_have_no_experiment(capsys):
    assert compose(["--cfg", "job", "--package", "hardware"]) is None
    assert "num_processes: 1" in capsys.readouterr().out


def test_an_experiment_that_cannot_be_frozen_is_refused_in_our_words_alone(capsys):
    with pytest.raises(Refusal, match="nowhere"):
        compose(["args.learning_rate=${nowhere}"])
    assert capsys.readouterr() == ("", "")


def test_variables_that_hydra_is_to_set_for_the_job_are_set_for_what_follows(monkeypatch):
    monkeypatch.delenv("EXPCTL_TRY", raising=False)
    assert compose(["+hydra.job.env_set.EXPCTL_TRY=7"]) is not None
    assert os.environ.pop("EXPCTL_TRY") == "7"


def test_a_file_whose_defaults_refer_to_other_options_has_those_that_were_chosen(folder):
    own = folder / "conf" / "own"
    for size, seed in {"small": 7, "large": 8}.items():
        for option, text in {f"size/{size}": "", f"seed/{size}": f"seed: {seed}\n"}.items():
            (own / option).parent.mkdir(parents=True, exist_ok=True)
            (own / f"{option}.yaml").write_text(f"# @package _global_\n{text}")
    (own / "fitted.yaml").write_text("defaults: [{size: small}, {seed: '${own/size}'}]\n")
    assert compose(["+own=fitted"]).config["seed"] == 7
    assert compose(["+own=fitted", "own/size=large"]).config["seed"] == 8


@pytest.mark.parametrize("word", ["-m", "--multirun", "hydra.mode=MULTIRUN"])
def test_each_of_hydras_words_for_a_sweep_is_one(word):
    assert is_multirun([word, "seed=0,1"]) and not is_multirun(["hydra.mode=RUN", "seed=0"])
