"""`expctl ls`: which runs are listed, in which order, with which columns, for people and for programs."""

import json
import math
import sys

import fabricated
import pytest

from expctl.cli import ls
from expctl.cli.main import run_words
from expctl.report.listing import as_tree, cell, table
from expctl.runs import manifest
from expctl.runs.difference import differing
from expctl.runs.files import write_json


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EXPCTL_OUTPUTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder, reward=None, status=manifest.COMPLETED, name="eval_reward", **changes):
    made = fabricated.run_of(fabricated.experiment(folder, **changes), status=status)
    if status == manifest.COMPLETED:
        write_json(made.summary, {"objective": reward, "objective_name": name, "steps": 4, "after": {name: reward}})
    return made


def listed(capsys, *words) -> list[str]:
    assert run_words(["ls", *words]) == 0
    return [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]


def test_a_filter_by_setting_group_or_metric_leaves_the_runs_that_are_so(folder, capsys):
    low, high = run(folder, 0.2, seed=0), run(folder, 0.9, seed=1)
    assert listed(capsys, "eval_reward>0.5") == [high.run_id]
    assert listed(capsys, "seed=0", "algorithm=gfpo") == [low.run_id]
    assert listed(capsys, "algorithm=grpo") == []
    assert sorted(listed(capsys)) == sorted([low.run_id, high.run_id])


def test_runs_without_the_number_come_last_in_either_direction(folder, capsys):
    a, b = run(folder, 0.2, seed=0), run(folder, 0.9, seed=1)
    none = [
        run(folder, math.nan, seed=2).run_id,
        run(folder, None, seed=3).run_id,
        run(folder, status=manifest.FAILED, seed=4).run_id,
    ]
    rising, falling = listed(capsys, "--sort", "eval_reward"), listed(capsys, "--sort=-eval_reward")
    assert rising[:2] == [a.run_id, b.run_id] and falling[:2] == [b.run_id, a.run_id]
    assert sorted(rising[2:]) == sorted(falling[2:]) == sorted(none)


def test_the_first_key_counts_most_in_sorting(folder, capsys):
    runs = {
        (rate, seed): run(folder, 0.5, seed=seed, args__learning_rate=rate) for rate in (1.0, 2.0) for seed in (0, 1)
    }
    order = listed(capsys, "--sort", "-args.learning_rate,seed")
    assert order == [runs[key].run_id for key in [(2.0, 0), (2.0, 1), (1.0, 0), (1.0, 1)]]


def test_lines_for_programs_are_whole_and_name_what_differs(folder, capsys):
    run(folder, 0.5, args__learning_rate=0.5)
    run(folder, 0.7, args__learning_rate=0.25, status=manifest.FAILED)
    assert run_words(["ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.count("\t") == 7 for line in lines)
    assert {line.split("\t")[-1] for line in lines} == {"args.learning_rate=0.5", "args.learning_rate=0.25"}
    assert "\033" not in "".join(lines)


def test_what_only_completed_runs_have_can_be_asked_before_there_is_one(folder, capsys):
    failed = run(folder, status=manifest.FAILED)
    assert listed(capsys, "--columns", "run,objective,damaged", "--sort", "-objective") == [failed.run_id]
    assert listed(capsys, "objective>0.5") == []


def test_chosen_columns_and_no_others(folder, capsys):
    run(folder, 0.5, seed=7)
    assert run_words(["ls", "--columns", "seed,args.max_steps,before.eval_reward,status"]) == 2  # no run has the third
    assert "before.eval_reward" in capsys.readouterr().err
    assert run_words(["ls", "--columns", "seed,args.max_steps,status,progress"]) == 0
    assert capsys.readouterr().out == "7\t4\tcompleted\t4/4\n"


def test_json_is_one_strict_array_with_every_fact(folder, capsys):
    run(folder, math.nan, seed=1)
    assert run_words(["ls", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["eval_reward"] is None and found["seed"] == 1 and found["status"] == "completed"
    assert run_words(["ls", "--json", "--columns", "seed"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"seed": 1}]
    assert run_words(["ls", "seed=3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_limit_takes_the_first(folder, capsys):
    for seed in range(4):
        run(folder, seed / 4, seed=seed)
    assert len(listed(capsys, "--limit", "2")) == 2 and len(listed(capsys, "--limit=0")) == 4


def test_broken_and_damaged_runs_are_listed_and_what_is_wrong_is_said(folder, capsys):
    damaged = run(folder, 0.5)
    damaged.summary.unlink()
    (folder / "outputs" / "broken").mkdir()
    (folder / "outputs" / "broken" / "run.json").write_text("{")
    assert run_words(["ls"]) == 0
    said = capsys.readouterr()
    rows = {line.split("\t")[0]: line.split("\t") for line in said.out.splitlines()}
    assert rows["broken"][1] == "broken" and rows[damaged.run_id][1:5] == ["completed", "", "", ""]
    assert "note: broken: run.json holds no JSON" in said.err
    assert f"note: {damaged.run_id}: summary.json is missing" in said.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["learning_rate=1"], "args.learning_rate"),
        (["--sort", "-sede"], "seed"),
        (["--colums", "run"], "--columns"),
        (["--columns", "run,statsu"], "status"),
        (["--limit", "many"], "whole number"),
        (["--sort"], "needs a value"),
        (["gfpo"], "no filter"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_nearest(folder, capsys, words, what):
    run(folder, 0.5)
    assert run_words(["ls", *words]) == 2
    said = capsys.readouterr()
    assert what in said.err and not said.out


def test_no_runs_is_said_and_is_no_failure(folder, capsys):
    assert run_words(["ls", "seed=1"]) == 0
    assert "No runs in outputs/ yet" in capsys.readouterr().err
    run(folder, 0.5)
    assert run_words(["ls", "seed=17"]) == 0
    assert capsys.readouterr().err == "No runs match (1 run in outputs/)\n"


def test_more_than_the_window_holds_is_cut_in_a_terminal_only(folder, capsys, monkeypatch):
    for seed in range(20):
        run(folder, 0.5, seed=seed)
    assert len(listed(capsys)) == 20
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("LINES", "17")
    monkeypatch.setenv("COLUMNS", "100")
    assert ls.main([]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "12 of 20 runs; --limit 0 shows all" and len(said) == 1 + 12 + 2
    assert "\033[32mcompleted\033[0m" in said[1]


FACTS = [
    {
        "run": f"gfpo-tiny-arithmetic-s{seed}-90dc4afd",
        "status": "completed",
        "step": 60,
        "steps": 60,
        "objective": 0.916,
        "objective_name": "eval_reward",
        "ended": "2026-11-23T11:15:34+00:00",
        "model": "tiny",
        "seed": seed,
        "algorithm": "gfpo",
        "dataset": "arithmetic",
        "args.learning_rate": 10.0**-seed,
        "args.beta": seed / 7,
        "args.warmup_steps": seed,
        "typed": ["seed", "args.learning_rate", "args.beta", "args.warmup_steps"],
    }
    for seed in range(3)
]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_a_table_never_leaves_its_terminal(width):
    differ = differing(FACTS)
    columns = [*ls.COLUMNS, *differ]
    lines, left_out = table(FACTS, columns, differ, width=width, colour=False)
    assert all(len(line) <= width for line in lines) and len(lines) == 4
    assert set(left_out) <= {"age", *differ} and (width < 140) == bool(left_out)
    if width == 140:
        assert "learning_rate" in lines[0] and "args." not in lines[0] and "eval_reward" in lines[0]


def test_what_the_id_says_is_no_column_and_what_was_typed_comes_before_what_a_file_changed():
    assert differing(FACTS) == ["args.learning_rate", "args.beta", "args.warmup_steps"]
    alike = [facts | {"seed": 0, "typed": ["seed"], "args.beta": 0.0, "args.warmup_steps": 1} for facts in FACTS]
    assert differing(alike) == ["args.learning_rate"]
    assert differing([facts | {"typed": []} for facts in FACTS]) == []  # their seeds tell them apart
    assert differing(
        [{"typed": ["peft", "dataset.columns"], "peft": "none", "dataset.columns.a": 1}, {"typed": [], "peft": "lora"}]
    ) == ["peft", "dataset.columns.a"]
    often = [{"typed": ["a.rare", "a.often"], "a.rare": 1, "a.often": 1}, {"typed": ["a.often"], "a.often": 2}]
    assert differing(often) == ["a.often", "a.rare"]


def test_cells_of_odd_facts():
    assert cell({"step": 3, "steps": None}, "progress") == "3" and cell({"step": 3, "steps": -1}, "progress") == "3"
    assert cell({}, "progress") == cell({}, "age") == cell({"started": "soon"}, "age") == ""
    assert cell({"error": "two\nlines\tand a tab"}, "error") == "two lines and a tab"
    assert cell({"loss": math.inf}, "loss") == "inf" and cell({"x": True}, "x") == "true"


def test_a_terminal_gets_colours_of_ours_and_none_of_a_run(folder, capsys, monkeypatch):
    made = fabricated.run_of(fabricated.experiment(folder, name="\x1b[31mred"), status=manifest.FAILED)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run_words(["ls", "--columns", "run,status,name"]) == 0
    said = capsys.readouterr().out
    assert made.run_id in said and "\x1b[31mfailed\x1b[0m" in said and "\\u001b[31mred" in said


def test_in_a_tree_a_run_stands_below_the_one_that_it_has_started_from(folder, capsys):
    line = {"late": "first", "first": None, "third": "second", "second": "first", "orphan": "gone", "itself": "itself"}
    runs = [{"run": run, "started_from": earlier} for run, earlier in line.items()]
    names = [facts["run"] for facts in as_tree(runs, indented=True)]
    assert names == ["first", "└─ late", "└─ second", "   └─ third", "orphan", "itself"]
    assert [facts["run"] for facts in as_tree(runs, indented=False)][3] == "third"
    assert run_words(["ls", "--tree"]) == 0
