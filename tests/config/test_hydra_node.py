"""Hydra's own part of a config runs no code that expctl would not run elsewhere, and makes no folder."""

import logging
import os

import pytest

from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose, run_hydra
from expctl.cli.main import run_words

NUMPY = "+hydra.callbacks.x={_target_: numpy.load, file: a.npy, allow_pickle: true}"
REFUSED = {
    "a callback": ([NUMPY], "numpy.load is outside the allowed packages"),
    "a callback that copies": (["+hydra.callbacks.x={_target_: shutil.copyfile, src: a, dst: b}"], "shutil.copyfile"),
    "a callback by interpolation": (["+hydra.callbacks.x={_target_: '${oc.env:HOME}.x'}"], "no dotted path"),
    "a target in a corner": (["+hydra.x.y.z={_target_: os.system}"], "os.system"),
    "a target below the launcher": (["+hydra.launcher.n_jobs={_target_: os.getcwd}"], "os.getcwd"),
    "another launcher": (["hydra/launcher=basic"], "do not go through this launcher"),
    "another sweeper": (["hydra/sweeper=basic"], "do not go through this sweeper"),
    "a launcher by its target": (["hydra.launcher._target_=os.system"], "do not go through this launcher"),
    "a sweeper for a launcher": (
        ["hydra.launcher._target_=hydra_plugins.expctl.grid.GridSweeper"],
        "do not go through this launcher",
    ),
    "no launcher": (["hydra.launcher=null"], "do not go through this launcher"),
    "a log file": (["hydra/job_logging=default"], "logging.FileHandler"),
    "a handler": (["+hydra.job_logging.handlers.x={class: logging.FileHandler, filename: f}"], "logging.FileHandler"),
    "a factory": (["+hydra.hydra_logging.formatters.x={(): os.system}"], "os.system"),
    "an import by logging": (
        ["+hydra.job_logging.handlers.x={class: logging.StreamHandler, stream: 'ext://antigravity.x'}"],
        "ext://",
    ),
    "a run folder": (["hydra.run.dir=x"], "'hydra.run.dir' is expctl's own"),
    "a sweep folder": (["hydra.sweep.dir=x"], "'hydra.sweep.dir' is expctl's own"),
    "Hydra's own records": (["hydra.output_subdir=.hydra"], "'hydra.output_subdir' is expctl's own"),
    "another working folder": (["hydra.job.chdir=true"], "'hydra.job.chdir' is expctl's own"),
    "a package to search": (["hydra.searchpath=[pkg://antigravity]"], "would import the package antigravity"),
    "a pickled job": (["--experimental-rerun", "job.pkl"], "pickled"),
    "a pickled job, abbreviated": (["--experimental-re=job.pkl"], "pickled"),
}


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Hydra's verbose mode and its help give the root logger handlers that outlive a test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("mode", [[], ["-m", "seed=0,1"]], ids=["one", "sweep"])
@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_before_hydra_acts_on_it(words, said, mode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    called = []
    with pytest.raises(Refusal) as refused:
        run_hydra([*mode, *words], called.append)
    assert said in str(refused.value) and "command line" in refused.value.where
    assert called == [] and os.listdir(tmp_path) == []


@pytest.mark.parametrize("words", [["hydra.verbose=true"], ["-m", "seed=0,1", "hydra.launcher.n_jobs=2"], ["seed=1"]])
def test_what_is_harmless_composes(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_words(["check", *words]) == 0
    assert "ok  " in capsys.readouterr().out


def test_a_callback_of_the_users_own_module_is_called(tmp_path, monkeypatch):
    (tmp_path / "watcher_of_mine.py").write_text(
        "from hydra.experimental.callback import Callback\n\n\nclass Mine(Callback):\n"
        "    def on_job_start(self, config, **kwargs):\n        open('called', 'w').close()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert compose(["+hydra.callbacks.x={_target_: watcher_of_mine.Mine}"]) is not None
    assert (tmp_path / "called").exists()


def test_a_callback_in_a_config_of_the_working_folder_is_held_to_the_list(tmp_path, monkeypatch, capsys):
    (tmp_path / "conf" / "tracker").mkdir(parents=True)
    (tmp_path / "conf" / "tracker" / "mine.yaml").write_text(
        "# @package _global_\ntracker: {report_to: none}\nhydra: {callbacks: {x: {_target_: os.getcwd}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run_words(["check", "tracker=mine"]) == 2
    assert "os.getcwd is outside the allowed packages" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--hydra-help"], ["-c", "job"], ["--cfg", "hydra"], ["--info", "config"]])
def test_hydras_own_flags_keep_working(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = run_words(words)
    except SystemExit as left:  # Hydra leaves after its help
        code = left.code or 0
    assert code == 0
    assert capsys.readouterr().out


def test_an_interpolation_that_leads_nowhere_is_told_by_the_word_that_holds_it(capsys):
    assert run_words(["check", "args.seed=${nothing.at.all}"]) == 2
    assert "args.seed=${nothing.at.all} (command line)" in capsys.readouterr().err


def test_an_error_that_nobody_foresaw_is_a_line_and_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr("expctl.cli.ls.main", lambda words: 1 / 0)
    assert run_words(["ls"]) == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError" in shown and "Traceback" not in shown and "EXPCTL_DEBUG=1" in shown
