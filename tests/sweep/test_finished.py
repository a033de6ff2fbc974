"""Completed jobs are known again without composing them, and only while their words mean the same."""

import json

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from expctl.config.frozen import register_resolvers
from expctl.config.locate import own_conf
from expctl.config.search_path import UserConfFirst, search_user_conf
from expctl.sweep.composer import Composer
from expctl.sweep.finished import Finished

WORDS = ["algorithm=sft", "seed=3"]


@pytest.fixture
def composer(tmp_path, monkeypatch):
    """Makes a composer as each new command has one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    register_resolvers()

    def make(*config_dirs):
        search_user_conf([str(folder) for folder in config_dirs])
        with initialize_config_dir(str(own_conf()), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            return Composer(loader, loader.load_configuration("expctl", [], RunMode.MULTIRUN))

    yield make
    UserConfFirst.extra = []


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "outputs" / "sft-tiny-arithmetic-s3-12345678"
    folder.mkdir(parents=True)

    def write(**told):
        (folder / "run.json").write_text(json.dumps({"status": "completed"} | told))
        return folder

    return write


def remembered(composer: Composer, folder) -> None:
    composer.finished.remember(WORDS, folder)
    composer.finished.save()


def test_a_completed_job_is_known_again(composer, run):
    remembered(composer(), run())
    assert composer().finished.run_of(WORDS) == run()
    assert composer().finished.run_of(["algorithm=sft", "seed=4"]) is None


@pytest.mark.parametrize("told", [{"status": "interrupted"}, {"status": "failed"}])
def test_one_whose_run_is_not_completed_any_more_is_composed(told, composer, run):
    remembered(composer(), run())
    run(**told)
    assert composer().finished.run_of(WORDS) is None


@pytest.mark.parametrize("told", [{"sources": {"reward.py": "1"}}, {"inputs": {"rows.jsonl": "1"}}])
def test_one_that_depends_on_the_users_files_is_composed_each_time(told, composer, run):
    remembered(composer(), run(**told))
    assert composer().finished.run_of(WORDS) is None


def test_a_config_file_that_changes_makes_everything_unknown(composer, run, tmp_path):
    user = tmp_path / "mine" / "algorithm"
    user.mkdir(parents=True)
    (user / "mine.yaml").write_text("defaults: [sft]\n")
    remembered(composer(user.parent), run())
    assert composer(user.parent).finished.run_of(WORDS) is not None
    (user / "mine.yaml").write_text("defaults: [grpo]\n")
    assert composer(user.parent).finished.run_of(WORDS) is None
    assert composer().finished.run_of(WORDS) is None


def test_a_config_file_that_reads_the_environment_makes_nothing_known(composer, run, tmp_path):
    user = tmp_path / "mine" / "dataset"
    user.mkdir(parents=True)
    (user / "mine.yaml").write_text("path: ${oc.env:DATA}\n")
    remembered(composer(user.parent), run())
    assert composer(user.parent).finished.run_of(WORDS) is None


def test_a_cache_that_was_cut_short_knows_nothing(composer, run, tmp_path):
    remembered(composer(), run())
    (file,) = (tmp_path / "cache" / "cells").iterdir()
    file.write_text(file.read_text()[:20])
    assert composer().finished.run_of(WORDS) is None
    assert isinstance(composer().finished, Finished)
