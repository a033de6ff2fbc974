"""Progress as a person reads it, in a file and in a terminal."""

import io
import re

import pytest

from expctl.base.metric_titles import evaluation_rows, short_metrics
from expctl.report.display import Display
from expctl.runs.files import Run
from expctl.runs.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def every_step_is_written(monkeypatch):
    monkeypatch.setattr("expctl.runs.progress.EVERY_SECONDS", 0.0)


def shown(tmp_path, out):
    progress = Progress(tmp_path / ".progress.json")
    with Display(Run(tmp_path), 0, out) as display:
        display.look()
        progress.phase("training")
        for step in range(1, 5):
            progress.step(step, 4, {"reward": 0.25 * step, "completions/mean_length": 30.0 - step, "loss": 0.1})
            display.look()
        progress.phase("saving the model")
        display.look()
    return out.getvalue()


def test_without_a_terminal_there_are_plain_lines_each_new_and_no_escape_codes(tmp_path):
    lines = shown(tmp_path, io.StringIO()).splitlines()
    assert lines[0].startswith("run  ")
    steps = [re.search(r"step (\d)/4", line)[1] for line in lines if "step" in line]
    assert steps == ["1", "2", "3", "4"]
    assert "reward 1" in lines[-2] and "completion length 26" in lines[-2] and "left" in lines[-2]
    assert "\x1b" not in "".join(lines)


def test_in_a_terminal_one_line_moves(tmp_path):
    text = shown(tmp_path, Terminal())
    assert "\x1b" in text and "step 4/4" in text


def test_a_progress_file_that_is_missing_or_half_written_shows_nothing(tmp_path):
    out = io.StringIO()
    (tmp_path / ".progress.json").write_text('{"phase": "tr')
    with Display(Run(tmp_path), 0, out) as display:
        display.look()
    assert len(out.getvalue().splitlines()) == 1


def test_a_line_shows_reward_and_length_or_the_loss():
    assert short_metrics({"reward": 0.51234, "completions/mean_length": 31.9, "loss": 0.1}) == [
        ("reward", "0.512"),
        ("completion length", "31.9"),
    ]
    assert short_metrics({"loss": 0.25, "mean_token_accuracy": 0.9, "epoch": 1}) == [
        ("loss", "0.25"),
        ("token accuracy", "0.9"),
    ]


def test_the_closing_rows_pair_before_and_after_and_show_a_single_reward_once():
    before = {
        "eval_rewards/accuracy/mean": 0.5,
        "eval_reward": 0.5,
        "eval_completions/mean_length": 30.0,
        "eval_loss": 0,
    }
    after = {
        "eval_rewards/accuracy/mean": 0.6,
        "eval_reward": 0.6,
        "eval_completions/mean_length": 20.0,
        "eval_loss": 0,
    }
    assert evaluation_rows(before, after) == [("accuracy", 0.5, 0.6), ("completion length", 30.0, 20.0)]
    assert evaluation_rows({}, {"eval_loss": 0.5}) == [("loss", None, 0.5)]


def test_a_training_that_is_over_between_two_looks_is_shown_all_the_same(tmp_path):
    out = io.StringIO()
    progress = Progress(tmp_path / ".progress.json")
    with Display(Run(tmp_path), 0, out) as display:
        progress.phase("training")
        display.look()
        progress.step(4, 4, {"loss": 0.5})
        progress.phase("saving the model")
        display.look()
    assert "step 4/4  loss 0.5" in out.getvalue()
