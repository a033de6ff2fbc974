"""What a tracker is told of a run: seeds of the same settings are one group, other settings another."""

import copy
import json

import pytest
from fabricated import experiment, run_of

from expctl.runs.claim import claim
from expctl.runs.tracker_identity import tracked


@pytest.fixture
def told(tmp_path):
    (tmp_path / "my_rewards.py").write_text("a = 1\n")

    def tell(outputs: str = "outputs", **changes):
        described = experiment(tmp_path, **changes)
        return tracked(run_of(described, tmp_path / outputs), described.config)

    return tell


def test_seeds_of_the_same_settings_are_one_group(told):
    groups = {told(seed=seed, args__seed=seed, dataset__seed=seed).group for seed in range(3)}
    assert len(groups) == 1
    assert groups.pop().startswith("gfpo-tiny-arithmetic-")


@pytest.mark.parametrize(
    "change",
    [{"args__learning_rate": 1.0}, {"dataset__seed": 7}, {"algorithm__trainer___target_": "trl.DPOTrainer"}],
    ids=str,
)
def test_another_setting_is_another_group(told, change):
    assert told("one").group != told("other", **change).group


def test_code_of_the_user_that_changed_is_another_group(told, tmp_path):
    before = told("one").group
    (tmp_path / "my_rewards.py").write_text("a = 2\n")
    assert told("other").group != before


def test_what_changes_no_result_is_the_same_group(told):
    one, other = told("one"), told("other", name="mine", tracker__report_to="wandb")
    assert one.group == other.group
    assert other.name == "mine" and one.name.startswith("gfpo-tiny-arithmetic-s0-")


def test_the_kind_and_the_tags_are_what_was_chosen_and_the_sweeps_that_have_the_run(tmp_path, told):
    described = experiment(tmp_path, args__learning_rate=2.0)
    (tmp_path / "my_rewards.py").write_text("a = 1\n")
    run = run_of(described)
    (tmp_path / "outputs" / "sweeps").mkdir()
    for name, cell in (("gfpo-1", run.run_id), ("gfpo-2", "another")):
        ledger = {"cells": [{"run_id": cell}, "damaged"]}
        (tmp_path / "outputs" / "sweeps" / f"{name}.json").write_text(json.dumps(ledger))
    (tmp_path / "outputs" / "sweeps" / "damaged.json").write_text("[")
    found = tracked(run, copy.deepcopy(described.config))
    assert found.job_type == "gfpo" and found.tags == ["gfpo", "tiny", "arithmetic", "gfpo-1"]


def test_a_run_that_is_forced_has_an_id_of_its_own_each_time_and_keeps_it_when_carried_on(tmp_path):
    (tmp_path / "my_rewards.py").write_text("a = 1\n")
    ids = []
    for forced in (False, True, False, True):
        described = experiment(tmp_path, force=forced)
        claimed = claim(described)
        claimed.held.release()
        ids.append(tracked(claimed.run, described.config).run_id)
    name = claimed.run.run_id
    assert ids == [name, f"{name}-forced1", f"{name}-forced1", f"{name}-forced2"]
