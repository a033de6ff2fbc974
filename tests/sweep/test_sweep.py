"""A batch of jobs: one that cannot be started keeps all from it; the ledger and the exit code say what came of them."""

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.launch.launch import Outcome
from expctl.runs.files import Run
from expctl.sweep.command import SweepCommand
from expctl.sweep.job import Ended, Refused, SweepJob, Waiting
from expctl.sweep.runners import Runner
from expctl.sweep.sweep import exit_code, run_jobs

OUTCOMES = {
    "completed": Outcome(0, "completed", objective=1.0),
    "failed": Outcome(1, "failed", error="lost"),
    "interrupted": Outcome(75, "interrupted"),
    "refused": Outcome(2, "refused", error="no data"),
}


class Paper(Runner):
    """Ends each job as is planned for its seed."""

    def __init__(self, fates):
        super().__init__()
        self._fates, self.closed, self.called = list(fates), False, False

    def _run(self, jobs, look, to_come):
        self.called = True
        for job, fate in zip(jobs, self._fates, strict=True):
            if not isinstance(job.state, Ended):
                job.end(OUTCOMES[fate])
            look()
        return "SIGINT" if "interrupted" in self._fates else None

    def at_once(self, hardware):
        return 1

    def close(self):
        self.closed = True


@pytest.fixture
def command():
    printed = []
    display = contextlib.nullcontext(SimpleNamespace(look=lambda: None))
    made = SweepCommand("expctl -m seed=0,1", lambda jobs: display, lambda *told: printed.append(told), print, print)
    made.printed = printed
    return made


@pytest.fixture
def finished():
    kept = []
    return SimpleNamespace(kept=kept, remember=lambda overrides, run: kept.append(overrides), save=lambda: None)


@pytest.fixture
def jobs(tmp_path):
    def jobs(number, force=False):
        config = {"force": force, "algorithm": {"objective": "eval_loss", "direction": "minimize"}}
        return [
            SweepJob(
                ("algorithm=sft", f"seed={seed}"),
                (f"seed={seed}",),
                Waiting(Experiment(config, {}, [], Path()), Run(tmp_path / "outputs" / f"sft-tiny-s{seed}")),
            )
            for seed in range(number)
        ]

    return jobs


def ledgers(folder):
    return [json.loads(file.read_text()) for file in (folder / "outputs").glob("sweeps/*.json")]


def test_one_job_that_cannot_be_started_keeps_all_from_it_and_nothing_is_created(
    jobs, command, finished, tmp_path, capsys
):
    made, runner = jobs(3), Paper([])
    made[1].state = Refused((Refusal("no such data"),))
    assert run_jobs(made, runner, command, finished) == 2
    said = capsys.readouterr().err
    assert "1 of 3 cells cannot be started, so none is" in said and "  cells    seed=1" in said
    assert not runner.called and command.printed == [] and list(tmp_path.iterdir()) == []


def test_the_ledger_has_every_job_and_ends_only_if_no_signal_broke_the_sweep_off(jobs, command, finished, tmp_path):
    runner = Paper(["completed", "interrupted"])
    assert run_jobs(jobs(2), runner, command, finished) == 75
    [ledger] = ledgers(tmp_path)
    assert [cell["status"] for cell in ledger["cells"]] == ["completed", "interrupted"] and ledger["ended"] is None
    assert runner.closed and len(command.printed) == 1
    assert run_jobs(jobs(2), Paper(["completed"] * 2), command, finished) == 0
    [ledger] = ledgers(tmp_path)
    assert ledger["ended"] and ledger["command"] == "expctl -m seed=0,1"


def test_a_grid_that_grows_has_the_same_ledger(jobs, command, finished, tmp_path):
    for number in (2, 3):
        run_jobs(jobs(number), Paper(["completed"] * number), command, finished)
    [ledger] = ledgers(tmp_path)
    assert len(ledger["cells"]) == 3


@pytest.mark.parametrize("force", [False, True])
def test_completed_jobs_are_known_the_next_time_but_for_those_that_were_forced(force, jobs, command, finished):
    run_jobs(jobs(2, force), Paper(["completed", "failed"]), command, finished)
    assert finished.kept == ([] if force else [("algorithm=sft", "seed=0")])


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["completed", "completed"], 0),
        (["completed", "refused"], 2),
        (["refused", "interrupted"], 75),
        (["interrupted", "failed", "completed"], 1),
    ],
)
def test_a_failure_outweighs_an_interruption_and_that_a_refusal(statuses, code, jobs):
    made = jobs(len(statuses))
    for job, status in zip(made, statuses, strict=True):
        job.end(OUTCOMES[status])
    assert exit_code(made) == code


def test_the_first_batch_that_does_not_complete_decides_the_exit_code(command):
    for code in (0, 75, 0, 1):
        command.end(code)
    assert command.code == 75


def test_a_sweep_that_does_not_come_from_the_command_line_is_an_error(command):
    assert SweepCommand.of(command) is command
    with pytest.raises(AssertionError, match="expctl -m"):
        SweepCommand.of(lambda config: None)
    with pytest.raises(TypeError, match="run by a launcher"):
        command({})
