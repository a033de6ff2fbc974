"""A run is found by its id, the beginning of one, or its folder, from wherever one stands."""

import json
import os
import time

import pytest

from expctl.base.paths import outputs_root
from expctl.base.refusal import Refusal
from expctl.runs.files import Run
from expctl.runs.find import find
from expctl.runs.output_folders import MOST, outputs_folders, remember

# Two files written one right after the other may bear the same time: that of the kernel's last tick.
TICK = 0.02


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes empty runs in outputs folders that are remembered; the working folder is another."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EXPCTL_OUTPUTS", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def make(folder, *names):
        for name in names:
            (tmp_path / folder / "outputs" / name).mkdir(parents=True)
            (tmp_path / folder / "outputs" / name / "run.json").write_text("{}")
        remember(tmp_path / folder / "outputs")
        return tmp_path / folder / "outputs"

    return make


def test_a_run_made_in_another_folder_is_found_by_the_beginning_of_its_id(make):
    outputs = make("a", "gfpo-tiny-arithmetic-s0-11111111", "sft-tiny-arithmetic-s0-22222222")
    assert find("sft").folder == outputs / "sft-tiny-arithmetic-s0-22222222"
    assert find("sft-tiny-arithmetic-s0-22222222").folder == outputs / "sft-tiny-arithmetic-s0-22222222"


def test_the_runs_of_the_working_folder_come_first(make, monkeypatch):
    make("a", "sft-x")
    here = make("elsewhere", "sft-y")
    assert find("sft").folder == here / "sft-y"


def test_the_outputs_that_the_environment_names_come_first(make, monkeypatch):
    there = make("a", "sft-x")
    make("elsewhere", "sft-y")
    monkeypatch.setenv("EXPCTL_OUTPUTS", str(there))
    assert find("sft").folder == there / "sft-x"


def test_an_id_that_begins_another_is_that_run(make):
    outputs = make("a", "sft-1", "sft-12")
    assert find("sft-1").folder == outputs / "sft-1"


def test_several_runs_are_listed_the_latest_first_by_what_tells_them_apart(make):
    outputs = make("a", "sft-11", "sft-12", "sft-13")
    for name, at in (("sft-11", 1), ("sft-12", 3), ("sft-13", 2)):
        os.utime(outputs / name / "run.json", (at, at))
    with pytest.raises(Refusal) as refused:
        find("sft")
    assert refused.value.nearest == ["sft-12", "sft-13", "sft-11"] and "3 runs" in refused.value.what
    outputs = [make("b", "dpo-1"), make("c", "dpo-1")]
    with pytest.raises(Refusal) as refused:
        find("dpo-1")
    assert sorted(refused.value.nearest) == [str(folder / "dpo-1") for folder in outputs]
    assert "path" in refused.value.do


def test_a_long_list_of_candidates_is_cut(make):
    make("a", *[f"sft-{number}" for number in range(30)])
    with pytest.raises(Refusal) as refused:
        find("sft")
    assert len(refused.value.nearest) == 9 and refused.value.nearest[-1] == "and 22 more"


@pytest.mark.parametrize("word", ["../a/outputs/sft-1", "{outputs}/sft-1", "{outputs}/sft-1/"])
def test_a_path_leads_to_its_run(word, make):
    outputs = make("a", "sft-1")
    assert find(word.format(outputs=outputs)).folder == outputs / "sft-1"


def test_a_run_that_was_done_again_is_found_but_never_in_place_of_the_first(make):
    outputs = make("a", "sft-1", "reruns/sft-1-1", "reruns/sft-1-2")
    assert find("sft").folder == outputs / "sft-1"
    assert find("sft-1-2").folder == outputs / "reruns" / "sft-1-2"


def test_a_misspelt_id_is_refused_with_the_nearest(make):
    make("a", "gfpo-tiny-arithmetic-s0-11111111")
    with pytest.raises(Refusal) as refused:
        find("gfpo-tiny-aritmetic-s0-11111111")
    assert refused.value.nearest == ["gfpo-tiny-arithmetic-s0-11111111"]


def test_a_folder_that_is_no_run_is_refused_with_the_runs_in_it(make):
    outputs = make("a", "sft-1")
    for folder in (outputs, outputs.parent):
        with pytest.raises(Refusal) as refused:
            find(str(folder))
        assert "run.json" in refused.value.what and refused.value.nearest == ["sft-1"]
    with pytest.raises(Refusal, match="no folder"):
        find("not/there")


def test_outputs_folders_are_remembered_latest_first_and_forgotten_when_gone(make, tmp_path):
    first, second = make("a", "x"), make("b", "x")
    time.sleep(TICK)
    remember(first)
    assert outputs_folders() == [first, second]
    (first / "x" / "run.json").unlink()
    (first / "x").rmdir()
    first.rmdir()
    assert outputs_folders() == [second]


def test_only_so_many_outputs_folders_are_remembered(make, tmp_path):
    for number in range(MOST + 5):
        (tmp_path / str(number)).mkdir()
        remember(tmp_path / str(number))
    time.sleep(TICK)
    make("the last", "x")
    assert len(outputs_folders()) == MOST and outputs_folders()[0] == tmp_path / "the last" / "outputs"


def test_a_home_that_cannot_be_written_only_costs_the_memory(make, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "file" / "cache"))
    remember(tmp_path)
    assert outputs_folders() == []
    with pytest.raises(Refusal, match="no run is called 'sft'"):
        find("sft")


def test_a_run_is_found_by_the_name_that_it_was_given(make):
    make("elsewhere", "sft-a", "sft-b", "sft-c")
    for run_id, name in (("sft-a", "mine"), ("sft-b", "twice"), ("sft-c", "twice")):
        file = Run(outputs_root() / run_id).manifest
        file.write_text(json.dumps({"run_id": run_id, "status": "completed", "name": name}))
    assert find("name=mine").run_id == "sft-a"
    with pytest.raises(Refusal, match="2 runs have the name=twice"):
        find("name=twice")
    with pytest.raises(Refusal) as refused:
        find("name=mime")
    assert refused.value.nearest == ["name=mine"]
