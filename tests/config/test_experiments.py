"""Experiments that come with expctl: each is the words that it stands for, and its table is a sweep."""

from dataclasses import replace

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from expctl.config.check import check
from expctl.config.frozen import register_resolvers
from expctl.config.locate import own_conf
from expctl.config.sweep_words import sweep_words
from expctl.runs.identity import config_hash
from expctl.sweep.composer import Composer

TABLES = {"gfpo_paper_mini": 8, "replay_mini": 3, "bema_dpo_mini": 3}


@pytest.fixture
def cells():
    """The cells of the sweep that `experiment=NAME` and further words make."""
    register_resolvers()
    with initialize_config_dir(str(own_conf()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()

        def of(*typed):
            sweep = loader.load_configuration("expctl", list(typed), RunMode.MULTIRUN)
            words = OverridesParser.create().parse_overrides(sweep_words(sweep.hydra.sweeper.params, list(typed)))
            jobs = [[]]
            for word in words:
                values = word.sweep_string_iterator() if word.is_sweep_override() else [word.get_value_element_as_str()]
                jobs = [[*job, f"{word.key_or_group}={value}"] for value in values for job in jobs]
            return Composer(loader, sweep).cells(jobs)

        yield of


@pytest.mark.parametrize(("name", "rows"), TABLES.items())
def test_a_table_is_all_its_rows_with_five_seeds_and_each_can_be_run(cells, name, rows):
    found = cells(f"experiment={name}")
    assert not [refusal for cell in found for refusal in cell.refusals]
    options = {path.stem for path in (own_conf() / "experiment" / name).iterdir()}
    assert {cell.experiment.choices[f"experiment/{name}"] for cell in found} == options and len(options) == rows
    assert len({config_hash(cell.experiment) for cell in found}) == 5 * rows


def test_a_row_is_the_run_of_the_words_that_it_stands_for(cells):
    (row,) = cells("experiment=gfpo_paper_mini", "experiment/gfpo_paper_mini=shortest_4_24", "seed=3")
    (words,) = cells(
        "seed=3", "algorithm=gfpo", "args.num_generations=24", "args.per_device_train_batch_size=192",
        "args.num_remains_in_group=4",
    )  # fmt: skip
    assert row.experiment.config == words.experiment.config


def test_rows_differ_in_nothing_but_what_they_are_about(cells):
    """The prompts of a step, the steps, the reward, the data, the learning rate: what no row is to be better by."""
    for name in TABLES:
        configs = [cell.experiment.config for cell in cells(f"experiment={name}", "seed=0")]
        alike = {
            (
                config["args"]["per_device_train_batch_size"] / config["args"].get("num_generations", 1),
                config["args"]["max_steps"], config["args"]["learning_rate"], config["args"].get("temperature"),
                config["args"].get("beta"), str(config["reward"]), str(config["dataset"]),
            )
            for config in configs
        }  # fmt: skip
        assert len(alike) == 1


def test_an_experiment_whose_file_forgot_its_package_is_told_what_to_write(cells):
    (cell,) = cells("seed=0")
    config = cell.experiment.config | {"experiment": {"args": {"max_steps": 3}}}
    (refusal,) = check(replace(cell.experiment, config=config))
    assert "no key 'experiment'" in refusal.what and "@package _global_" in refusal.do
