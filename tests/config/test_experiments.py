"""Experiments that come with expctl: each is the words that it stands for, and its table is a sweep."""

import json
import runpy
import shutil
from dataclasses import replace

import pytest
from harness import REPOSITORY
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from expctl.cli.main import run_words
from expctl.config.check import check
from expctl.config.frozen import register_resolvers
from expctl.config.groups import group_options
from expctl.config.locate import own_conf
from expctl.config.sweep_words import sweep_words
from expctl.runs.identity import config_hash
from expctl.sweep.composer import Composer
from expctl.sweep.job import Waiting

TABLES = {"gfpo_paper_mini": 8, "replay_mini": 3, "bema_dpo_mini": 3}


@pytest.fixture
def experiments():
    """`experiments(*words)`: the experiments of the jobs of a sweep, each checked."""
    register_resolvers()
    with initialize_config_dir(str(own_conf()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()

        def composed(*typed):
            sweep = loader.load_configuration("expctl", list(typed), RunMode.MULTIRUN)
            words = OverridesParser.create().parse_overrides(sweep_words(sweep.hydra.sweeper.params, list(typed)))
            jobs = [[]]
            for word in words:
                values = word.sweep_string_iterator() if word.is_sweep_override() else [word.get_value_element_as_str()]
                jobs = [[*job, f"{word.key_or_group}={value}"] for value in values for job in jobs]
            states = [job.state for job in Composer(loader, sweep).jobs(jobs)]
            assert all(isinstance(state, Waiting) for state in states), states
            return [state.experiment for state in states]

        yield composed


@pytest.mark.parametrize(("name", "rows"), TABLES.items())
def test_a_table_is_all_its_rows_with_five_seeds_and_each_can_be_run(experiments, name, rows):
    table = experiments(f"experiment={name}")
    options = {path.stem for path in (own_conf() / "experiment" / name).iterdir()}
    assert {experiment.choices[f"experiment/{name}"] for experiment in table} == options and len(options) == rows
    assert len({config_hash(experiment) for experiment in table}) == 5 * rows


def test_a_row_is_the_run_of_the_words_that_it_stands_for(experiments):
    (row,) = experiments("experiment=gfpo_paper_mini", "experiment/gfpo_paper_mini=shortest_4_24", "seed=3")
    (typed,) = experiments(
        "seed=3",
        "algorithm=gfpo",
        "args.num_generations=24",
        "args.per_device_train_batch_size=192",
        "args.num_remains_in_group=4",
    )
    assert row.config == typed.config


def test_rows_differ_in_nothing_but_what_they_are_about(experiments):
    """The prompts of a step, the steps, the reward, the data, the learning rate: what no row is to be better by."""
    for name in TABLES:
        assert len({shared(experiment.config) for experiment in experiments(f"experiment={name}", "seed=0")}) == 1


def test_the_line_up_has_every_method_that_needs_no_server_from_one_start_and_with_one_evaluation(experiments):
    table = experiments("experiment=lineup_mini", "seed=0")
    rows = {experiment.choices["algorithm"] for experiment in table}
    assert rows == {path.stem for path in (own_conf() / "experiment" / "lineup_mini").iterdir()}
    served = {"async_grpo", "async_distillation", "server_distillation"}
    # BNPO is GRPO where a step is one micro-batch, GDPO where there is one reward; the others are not for this task.
    assert group_options("algorithm").keys() - rows - served == {"eval", "benchmarks", "reward", "bnpo", "gdpo"}
    for experiment in table:
        config = experiment.config
        assert config["algorithm"]["objective"] == "eval_reward", experiment.choices
        assert check(experiment) == [] and config["args"]["eval_steps"] == 0.25
    shared = {
        (str(each.config["model"]), each.config["dataset"]["eval_size"], str(each.config["reward"])) for each in table
    }
    assert len(shared) == 1


@pytest.fixture
def word_problems(tmp_path, monkeypatch):
    """The words of experiment=smollm2_words in a folder with its files, from a model of its sizes."""
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(REPOSITORY / "scripts" / "make_word_problems.py"))["main"]([])
    folder = tmp_path / "smollm2"
    shutil.copytree(own_conf().parent / "expctl" / "models" / "tiny", folder)
    sizes = {"hidden_size": 576, "num_hidden_layers": 30}
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | sizes))
    return ["experiment=smollm2_words", f"model.path={folder}"]


def test_the_table_of_a_real_model_is_its_rows_with_three_seeds_that_differ_in_the_filter_only(
    experiments, word_problems
):
    table = experiments(*word_problems)
    options = {path.stem for path in (own_conf() / "experiment" / "smollm2_words").iterdir()}
    assert {experiment.choices["experiment/smollm2_words"] for experiment in table} == options
    assert len({config_hash(experiment) for experiment in table}) == 3 * len(options)
    assert len({shared(experiment.config) for experiment in experiments(*word_problems, "seed=0")}) == 1


def test_the_first_stage_of_a_real_model_trains_on_the_worked_solutions(experiments, word_problems):
    (experiment,) = experiments("experiment=smollm2_worked", word_problems[1])
    assert experiment.config["dataset"]["kind"] == "prompt-completion"
    assert experiment.config["dataset"]["path"] == "data/word_problems/worked.jsonl"


def test_a_file_of_an_experiment_that_is_missing_is_told_with_the_line_that_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = own_conf().parent / "expctl" / "models" / "tiny"
    assert run_words(["check", "experiment=smollm2_worked", f"model.path={tiny}"]) == 2
    said = capsys.readouterr().err
    assert "worked.jsonl: no such file" in said and "conf/experiment/smollm2_worked.yaml:" in said


def shared(config):
    args = config["args"]
    rows = args["per_device_train_batch_size"] * args.get("gradient_accumulation_steps", 1)
    return (
        rows / args.get("num_generations", 1),
        args["max_steps"],
        args["learning_rate"],
        args.get("temperature"),
        args.get("beta"),
        str(config["reward"]),
        str(config["dataset"]),
    )


def test_an_experiment_whose_file_forgot_its_package_is_told_what_to_write(experiments):
    (experiment,) = experiments("seed=0")
    config = experiment.config | {"experiment": {"args": {"max_steps": 3}}}
    (refusal,) = check(replace(experiment, config=config))
    assert "no key 'experiment'" in refusal.what and "@package _global_" in refusal.do
