"""`expctl compare`: which runs words mean, what is shown, and what is refused."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import DATA, run, sweep, two_algorithms

from expctl.base.refusal import Refusal
from expctl.cli.main import run_words
from expctl.compare.select import select
from expctl.runs.files import read_json

LENGTH = "eval_completions/mean_length"
GRPO, GFPO = [0.80, 0.81, 0.79, 0.80], [0.90, 0.91, 0.93, 0.91]


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """The outputs of the working folder, empty."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    for name in ("EXPCTL_OUTPUTS", "EXPCTL_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


def chosen(*words):
    return [folder.name for folder in select(words).folders]


def shown(capsys, *words):
    assert run_words(["compare", *words]) == 0
    return capsys.readouterr().out


def refused(capsys, *words):
    assert run_words(["compare", *words]) == 2
    message = capsys.readouterr()
    assert message.out == ""
    return message.err


def test_runs_are_meant_by_id_beginning_pattern_folder_and_path(outputs):
    for name in ("gfpo-a", "gfpo-b", "grpo-a"):
        run(outputs, name=name)
    assert chosen("gfpo-a") == ["gfpo-a"] and chosen("gfpo") == ["gfpo-a", "gfpo-b"]
    assert chosen("g*-a") == ["gfpo-a", "grpo-a"] and chosen("grpo-a", "gfpo-b") == ["grpo-a", "gfpo-b"]
    assert chosen("outputs") == chosen(".") == ["gfpo-a", "gfpo-b", "grpo-a"]
    assert chosen("outputs/gfpo-a", "gfpo-a") == ["gfpo-a"]


def test_a_sweep_is_meant_by_id_beginning_and_ledger_and_the_last_one_by_nothing(outputs):
    folders = [run(outputs, name=name) for name in ("gfpo-a", "gfpo-b", "grpo-a")]
    older = sweep(outputs, "lr-1", [folders[2], folders[0]])
    sweep(outputs, "seeds-2", folders[:2])
    os.utime(older, (1, 1))
    assert chosen("lr-1") == chosen("lr") == chosen("outputs/sweeps/lr-1.json") == ["grpo-a", "gfpo-a"]
    assert chosen() == ["gfpo-a", "gfpo-b"]


def test_only_files_that_a_word_can_mean_are_read(outputs, monkeypatch):
    folders = [run(outputs, name=name) for name in ("gfpo-a", "gfpo-b", "grpo-a")]
    sweep(outputs, "lr-1", folders)
    read = []
    monkeypatch.setattr("expctl.runs.json_record.read_json", lambda file: read.append(file) or read_json(file))
    assert chosen("gfpo-b") == ["gfpo-b"] and {file.parent.name for file in read} == {"gfpo-b"}


def test_cells_whose_runs_are_gone_are_named(outputs, capsys):
    folders = two_algorithms(outputs, GRPO, GFPO)
    sweep(outputs, "s-1", [*folders, outputs / "never-made"])
    assert "never-made left out: there is no run of it" in shown(capsys, "s-1")


def test_filters_choose_among_all_runs_or_among_those_that_were_named(outputs):
    two_algorithms(outputs, GRPO, GFPO)
    assert len(chosen("algorithm=gfpo")) == 4 and len(chosen("algorithm=gfpo", "seed=0,1")) == 2
    assert len(chosen("eval_reward>0.905")) == 3 and len(chosen("run-s0", "algorithm=grpo")) == 1
    run(outputs, name="row", after={"eval_rewards/accuracy/mean": 0.5}, choices={"experiment/table": "short"})
    assert chosen("experiment/table=short") == chosen("eval_rewards/accuracy/mean<0.6") == ["row"]


def test_a_folder_of_runs_made_elsewhere_is_compared_as_well(outputs, tmp_path, capsys):
    two_algorithms(tmp_path / "copied" / "outputs", GRPO, GFPO)
    assert "algorithm=gfpo is better than algorithm=grpo" in shown(capsys, "copied")


@pytest.mark.parametrize("words", [("gfpq-a",), ("zz*",), ("algorithm=nothing",), ("no_such_key=1",)])
def test_words_that_mean_nothing_are_refused(outputs, words):
    run(outputs, name="gfpo-a")
    with pytest.raises(Refusal):
        select(words)


def test_without_a_sweep_it_says_what_to_type(outputs, capsys):
    run(outputs)
    assert "expctl -m algorithm=grpo,gfpo seed=0,1,2" in refused(capsys)


def test_a_sweep_is_shown_as_a_table_a_verdict_and_nothing_else(outputs, capsys):
    sweep(outputs, "s-1", two_algorithms(outputs, GRPO, GFPO))
    said = shown(capsys)
    assert "compared  algorithm: grpo, gfpo, over seeds 0-3\nbaseline  algorithm=grpo\n" in said
    assert "accuracy" not in said and "reward, higher is better" in said
    row = next(line for line in said.splitlines() if line.startswith("algorithm=gfpo  "))
    assert row.split()[1:3] == ["4", "0.913"] and row.split()[-1] == "1.00"
    assert "algorithm=gfpo is better than algorithm=grpo by 0.112 (" in said
    assert "warning" not in said and "more seeds" not in said
    assert max(map(len, said.splitlines())) <= 100


def test_the_start_is_the_first_line_of_a_table(outputs, capsys):
    two_algorithms(outputs, GRPO, GFPO, summary={"before": {"eval_reward": 0.75}})
    lines = shown(capsys, "outputs", "--metric", "reward").splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("group"))
    assert lines[head + 1].split() == ["start", "4", "0.750"] and lines[head + 2].startswith("algorithm=grpo")


def test_too_few_seeds_end_with_the_command_that_makes_them(outputs, capsys):
    sweep(outputs, "s-1", two_algorithms(outputs, GRPO[:2], GFPO[:2]))
    assert shown(capsys).rstrip().endswith("expctl -m algorithm=grpo,gfpo seed=2,3,4,5")


def test_many_groups_show_the_sentences_that_say_something_first(outputs, capsys):
    for place in range(12):
        for seed in range(3):
            value = (0.9 if place == 11 else 0.5) + (seed**2 + place * seed) / 1e4
            run(outputs, seed, value, config={"args.beta": place / 10}, typed=(f"args.beta={place / 10}",))
    said = shown(capsys, "outputs")
    assert "beta=1.1 is better than beta=0 by" in said and "and 3 more: 3 " in said
    assert "p is corrected for 11 comparisons (Holm)" in said


def test_json_has_everything_and_nothing_else_is_printed(outputs, capsys):
    two_algorithms(outputs, GRPO, GFPO)
    found = json.loads(shown(capsys, "outputs", "--json", "--baseline", "algorithm=gfpo", "--level=0.9"))
    assert found["baseline"] == "algorithm=gfpo" and found["level"] == 0.9
    (difference,) = found["metrics"][0]["differences"]
    assert difference["verdict"]["word"] == "worse" and difference["pairs"] == 4


def test_only_the_metrics_that_were_asked_for_are_shown(outputs, capsys):
    two_algorithms(outputs, GRPO, GFPO)
    assert "seconds" not in shown(capsys, "outputs", "--metric", "reward")
    both = shown(capsys, "outputs", "--metric=reward,training")
    assert "seconds" in both and both == shown(capsys, "outputs", "--metric", "reward", "--metric=training")


def test_the_excess_that_was_taken_away_is_said_as_the_readme_types_it(outputs, capsys):
    readme = Path(__file__).parents[2].joinpath("README.md").read_text()
    (line,) = re.findall(r"^expctl (compare .*--excess.*)$", readme, flags=re.M)
    ends = [{"eval_reward": 0.8, LENGTH: length} for length in (60.0, 62.0, 63.0, 61.0)]
    shorter = [{"eval_reward": 0.9, LENGTH: end[LENGTH] - 15 + place % 2} for place, end in enumerate(ends)]
    two_algorithms(outputs, ends, shorter, summary={"before": {LENGTH: 40.0}})
    said = " ".join(shown(capsys, *shlex.split(line)[1:]).split())
    assert "algorithm=gfpo took away 67 % (60 to 76 %; 4 seeds) of what algorithm=grpo added: 40.0 tokens at" in said
    assert "of what" not in shown(capsys, "outputs")


def test_runs_are_compared_at_the_same_number_of_tokens_as_the_page_types_it(outputs, capsys):
    page = Path(__file__).parents[2].joinpath("docs", "comparing.md").read_text()
    (line,) = re.findall(r"^expctl (compare .*--at .*)$", page, flags=re.M)
    rows = [
        {"step": 0, "eval_reward": 0.1},
        {"step": 1, "loss": 0.1, "num_tokens": 40_000},
        {"step": 1, "eval_reward": 0.5},
    ]
    two_algorithms(outputs, GRPO, GFPO, rows=rows, summary={"before": {"eval_reward": 0.1}})
    said = " ".join(shown(capsys, *shlex.split(line)[1:]).split())
    assert "at 20,000 tokens" in said and "algorithm=gfpo 4 0.3 " in said and "start 4 0.1 " in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "token=5"], "tokens"),
        (["--metrics", "x"], "--metric"),
        (["--excess", "rewart"], "--excess rewart"),
        (["--excess", "reward"], "no evaluation of eval_reward before training"),
        (["--metric"], "needs a value"),
        (["--baseline="], "needs a value"),
        (["--level", "95"], "no level '95'"),
        (["--level", "high"], "no level 'high'"),
        (["--baseline", "algorithm=gfqo"], "algorithm=gfpo"),
        (["--metric", "rewart"], "reward"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_the_nearest(outputs, capsys, words, said):
    two_algorithms(outputs, GRPO, GFPO)
    assert said in refused(capsys, "outputs", *words)


def test_other_evaluation_data_are_refused_with_exit_code_2(outputs, capsys):
    other = DATA | {"eval": DATA["eval"] | {"fingerprint": "cccc"}}
    folders = two_algorithms(outputs, GRPO, [])
    folders += [run(outputs, seed, 0.9, data=other, config={"args.beta": 0.1}) for seed in range(4)]
    assert "not measured alike: they were evaluated on other data" in refused(capsys, "outputs")


def test_runs_that_are_not_completed_are_named_in_a_warning(outputs, capsys):
    two_algorithms(outputs, GRPO, GFPO)
    run(outputs, 4, status="failed", name="bad-one")
    assert "warning: bad-one left out: failed, not completed" in shown(capsys, "outputs")


def test_neither_the_help_nor_another_verb_pays_for_the_numeric_libraries_and_none_for_torch(outputs):
    two_algorithms(outputs, GRPO, GFPO)
    code = (
        "import sys; from expctl.cli.main import run_words; import expctl.cli.compare, expctl.compare.runs;"
        "assert not {'numpy', 'scipy'} & set(sys.modules); run_words(['compare', 'outputs']);"
        "assert 'scipy' in sys.modules;"
        "assert not {'torch', 'transformers', 'trl', 'datasets', 'wandb', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=outputs.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


def test_a_table_of_latex_has_a_line_a_group_with_half_of_each_interval(outputs, capsys):
    two_algorithms(outputs, GRPO, GFPO)
    text = shown(capsys, "seed<9", "--latex", "--metric", "eval_reward")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3 and rows[0].startswith(" & runs & ")
    cells = [[cell.strip() for cell in row.removesuffix(r"\\").split("&")] for row in rows[1:]]
    assert [cell[1] for cell in cells] == ["4", "4"]
    means = [re.fullmatch(r"\$(0\.\d+) \\pm (0\.\d+)(\^\{[+-]\})?\$", cell[2]) for cell in cells]
    assert [float(mean[1]) for mean in means] == pytest.approx([sum(GRPO) / 4, sum(GFPO) / 4], abs=0.001)
    assert means[0][3] is None and means[1][3] == "^{+}"
    assert "algorithm=gfpo" in text and r"\begin{tabular}{lrr}" in text
