"""What a training said of itself stands wherever its numbers do."""

import json
import math
from pathlib import Path

import fabricated
import pytest

from expctl.base.experiment import Experiment
from expctl.cli.main import run_words as main
from expctl.launch.launch import Outcome
from expctl.report.closing import print_closing
from expctl.report.display import Display
from expctl.report.sweep_closing import print_results
from expctl.report.sweep_display import SweepDisplay
from expctl.runs import manifest
from expctl.runs.files import Run, write_json
from expctl.runs.progress import Progress
from expctl.runs.records import Alert
from expctl.sweep.job import Ended, Running, SweepJob

ALERT = {
    "kind": "no_contrast",
    "step": 3,
    "last_step": 17,
    "steps": 15,
    "text": "no group has contrast",
    "do": "raise args.num_generations (now 16)",
}
SENTENCE = "steps 3 to 17: no group has contrast"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    made = fabricated.run_of(fabricated.experiment(tmp_path), status=manifest.COMPLETED)
    summary = {"objective": 0.5, "objective_name": "eval_reward", "objective_step": 4, "steps": 4}
    write_json(made.summary, summary | {"seconds": {"total": 1}, "after": {"eval_reward": 0.5}, "before": {}})
    manifest.note_alerts(made, [Alert(**ALERT)])
    return made


def without_objective(run, value=None):
    summary = json.loads(run.summary.read_text()) | {"objective": value, "no_objective": "it was not a number"}
    run.summary.write_text(json.dumps(summary))


def test_closing(run, capsys):
    print_closing(run, manifest.COMPLETED, None)
    told = capsys.readouterr()
    assert SENTENCE in told.err and ALERT["do"] in told.err and "eval_reward = 0.5 after 4 steps" in told.out


@pytest.mark.parametrize("value", [None, math.nan])
def test_closing_without_an_objective_says_why(value, run, capsys):
    without_objective(run, value)
    print_closing(run, manifest.COMPLETED, None)
    assert "no objective (eval_reward): it was not a number; after 4 steps" in capsys.readouterr().out


def test_closing_says_at_which_step_the_objective_was_measured(run, capsys):
    run.summary.write_text(run.summary.read_text().replace('"objective_step": 4', '"objective_step": 3'))
    print_closing(run, manifest.COMPLETED, None)
    assert "eval_reward = 0.5, measured at step 3, after 4 steps" in capsys.readouterr().out


def test_ls_show_and_compare(run, capsys):
    assert main(["ls"]) == 0 and "no contrast" in capsys.readouterr().out
    assert main(["ls", "alerts~contrast", "--columns", "run"]) == 0 and run.run_id in capsys.readouterr().out
    assert main(["show"]) == 0
    shown = capsys.readouterr().out
    assert SENTENCE in shown and ALERT["do"] in shown
    assert main(["show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["alerts"] == [ALERT]
    assert main(["compare", run.run_id, "--html", "page.html"]) == 0
    assert "1 of 1 runs gave an alert (no contrast)" in " ".join(capsys.readouterr().out.split())
    assert "no group has contrast" in Path("page.html").read_text()


def test_ls_and_show_say_why_there_is_no_objective(run, capsys):
    without_objective(run)
    main(["ls"])
    assert "no objective: it was not a number" in capsys.readouterr().err
    main(["show"])
    assert "no objective: it was not a number" in capsys.readouterr().out


def test_alerts_that_are_none_are_passed_over(run, capsys):
    alerts = [7, {"kind": 1}, {"kind": "x", "text": "y", "step": "z"}, {"text": "no kind"}]
    write_json(run.manifest, json.loads(run.manifest.read_text()) | {"alerts": alerts})
    assert main(["show"]) == 0 and "at some step: y" in capsys.readouterr().out


CONFIG = {"force": False, "algorithm": {"objective": "eval_reward", "direction": "maximize"}}


def job(state):
    return SweepJob(("seed=0",), ("seed=0",), state, began=0.0)


def test_the_closing_of_a_sweep(run, capsys):
    without_objective(run)
    outcome = Outcome(0, manifest.COMPLETED, objective=0.5)
    completed = job(Ended(Run(run.folder), outcome, Experiment(CONFIG, {}, [], Path()), 1.0))
    print_results([completed], Path("ledger.json"))
    told = capsys.readouterr().out
    assert f"seed=0: {SENTENCE}" in told and "seed=0: no objective: it was not a number" in told
    assert any("seed=0" in line and line.rstrip().endswith("no contrast") for line in told.splitlines())


def test_while_it_runs_an_alert_is_said_once(run, capsys):
    progress = Progress(run.progress)
    running = job(Running(Experiment(CONFIG, {}, [], Path()), Run(run.folder)))
    with Display(run) as display, SweepDisplay([running]) as sweep:
        for last_step in (17, 18):
            progress.alert([Alert(**(ALERT | {"last_step": last_step}))])
            display.look()
            sweep.look(at_once=True)
    told = capsys.readouterr().out
    assert told.count(f"warning: {SENTENCE}") == 1
    assert told.count(f"seed=0  {SENTENCE}") == 1
