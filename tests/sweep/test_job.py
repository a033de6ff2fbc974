"""A job's state says what it has: a run, an experiment, a result."""

from pathlib import Path

import pytest

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.launch.launch import Outcome
from expctl.runs.files import Run, write_json
from expctl.sweep.job import Ended, HeldByAnother, Refused, Running, SweepJob, Waiting, objective_of, shared_overrides


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    return Run(folder)


def experiment(force=False):
    algorithm = {"objective": "eval_loss", "direction": "minimize"}
    return Experiment({"force": force, "algorithm": algorithm}, {}, [], Path())


def job(state):
    return SweepJob(("algorithm=sft", "++args.lr=1"), ("args.lr=1",), state)


def test_a_refused_job_has_no_run_and_says_why():
    refused = job(Refused((Refusal("no option 'gfop'"), Refusal("more"))))
    assert refused.status == "refused" and refused.error == "refused: no option 'gfop'"
    assert refused.experiment is None and not refused.forced
    for part in ("run", "to_run"):
        with pytest.raises(ValueError, match="refused"):
            getattr(refused, part)


@pytest.mark.parametrize(
    ("state", "status"), [(Waiting, "waiting"), (HeldByAnother, "elsewhere"), (Running, "running")]
)
def test_a_job_that_is_to_be_run_has_an_experiment_and_no_result(state, status, run):
    composed = job(state(experiment(force=True), run))
    assert composed.status == status and composed.forced
    assert composed.to_run.run == composed.run == run
    assert composed.objective is None and composed.error is None


def test_a_job_that_has_ended_keeps_its_experiment_and_its_time_only_if_this_command_ran_it(run):
    before, trained = (job(Waiting(experiment(), run)) for _ in range(2))
    before.end(Outcome(0, "completed", objective=0.5))
    trained.begin(Running(experiment(), run))
    trained.end(Outcome(1, "failed", error="lost"))
    assert before.state.seconds is None and trained.state.seconds >= 0
    assert before.experiment is not None and before.cell().objective == 0.5
    assert (trained.cell().status, trained.cell().error) == ("failed", "lost")
    with pytest.raises(ValueError, match="it is failed"):
        trained.to_run  # noqa: B018 - it raises


def test_a_job_that_a_search_has_stopped_is_pruned_and_not_interrupted(run):
    pruned = job(Running(experiment(), run))
    pruned.prune()
    assert pruned.status == pruned.cell().status == "pruned"


def test_what_jobs_are_compared_by_is_known_also_of_one_that_is_not_composed(run):
    assert objective_of(job(Waiting(experiment(), run))) == ("eval_loss", "minimize")
    write_json(run.summary, {"objective": 1.0, "objective_name": "eval_loss", "direction": "minimize"})
    known = job(Ended(run, Outcome.of_completed(run)))
    assert objective_of(known) == ("eval_loss", "minimize") and known.objective == 1.0 and not known.forced


def test_one_job_alone_shares_no_override():
    assert shared_overrides([("a=1", "b=1"), ("a=1", "b=2")]) == {"a=1"}
    assert shared_overrides([("a=1",)]) == shared_overrides([]) == set()
