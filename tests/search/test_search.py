"""Which trials are run next, and what is kept of each."""

from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution

from expctl.launch.launch import Outcome
from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.runs.lock import Lock
from expctl.search.question import Question
from expctl.search.search import Search
from expctl.search.study import open_study
from expctl.sweep.job import Ended, SweepJob


@pytest.fixture
def begin(tmp_path):
    """A search over one number; each call is a command of its own."""
    question = Question(
        ["algorithm=sft"], {"++args.lr": FloatDistribution(0, 1)}, "loss", "minimize", "a", tmp_path, None
    )

    def begin(n_trials=4, at_once=2):
        study = open_study(tmp_path / "a.journal", "minimize", {"name": "RandomSampler", "seed": 0})
        return Search(question, study, n_trials=n_trials, at_once=at_once)

    return begin


def named(overrides):
    return overrides[-1].replace("++args.lr=", "run-")


def ended(outcome):
    return SweepJob((), (), Ended(Run(Path("a")), outcome))


def completed(value):
    return ended(Outcome(0, "completed", objective=value))


def failed(text="lost", status="failed"):
    return ended(Outcome(1, status, error=text))


def numbers(trials):
    return [trial.number for trial in trials]


def test_a_search_ends_when_enough_trials_have_completed_also_over_commands(begin):
    search = begin()
    for trial in search.batch(named):
        assert search.tell(trial, completed(1.0))
    again = begin()
    assert numbers(batch := again.batch(named)) == [2, 3]
    for trial in batch:
        again.tell(trial, completed(0.5))
    assert again.batch(named) == [] and begin().batch(named) == []
    assert numbers(begin(n_trials=5).batch(named)) == [4], "more trials search on"


def test_a_command_ends_where_all_fail_and_the_next_one_tries_others(begin):
    search = begin(n_trials=2)
    for trial in search.batch(named):
        search.tell(trial, failed("KeyError: 'lost'"))
    assert search.batch(named) == []
    assert [(entry.status, entry.error) for entry in search.entries()] == [("failed", "KeyError: 'lost'")] * 2
    assert numbers(begin(n_trials=2).batch(named)) == [2, 3]


def test_a_trial_that_was_interrupted_or_left_behind_is_the_first_of_the_next_command(begin):
    search = begin()
    stopped, killed = search.batch(named)
    assert not search.tell(stopped, failed("interrupted", "interrupted"))
    assert numbers(begin().batch(named)) == numbers([stopped, killed])
    assert begin().overrides(killed) == ("algorithm=sft", killed.user_attrs["words"][0])


def test_a_trial_whose_run_is_alive_is_left_to_the_command_that_has_it(begin, tmp_path):
    [trial] = begin(at_once=1).batch(named)
    run = Run(tmp_path / trial.user_attrs["run"])
    run.folder.mkdir()
    manifest.create(run)
    held = Lock(run.lock)
    assert numbers(begin(at_once=4).batch(named)) == [1, 2, 3], "it counts, and nobody else runs it"
    held.release()
    assert trial.number in numbers(begin(at_once=4).batch(named))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.1"])
def test_a_run_without_a_finite_objective_is_a_failed_trial(begin, value):
    search = begin()
    [trial, _] = search.batch(named)
    assert search.tell(trial, completed(value))
    assert search.entries()[0].status == "failed" and "no finite number for loss" in search.entries()[0].error


def test_a_trial_that_two_commands_took_up_counts_once(begin):
    [trial, _] = begin().batch(named)
    one, other = begin(), begin()
    one.tell(trial, completed(1.0))
    other.tell(trial, completed(1.0))
    other.tell(trial, failed())
    assert [entry.status for entry in begin().entries()] == ["completed", "waiting"]
