"""A study on disk outlives its command, and damage."""

import pytest
from optuna.distributions import FloatDistribution

from expctl.base.refusal import Refusal
from expctl.search.study import open_study

SAMPLER = {"name": "TPESampler", "seed": 3}


def asked(study, number):
    return [study.ask({"a": FloatDistribution(0, 1)}).params["a"] for _ in range(number)]


def test_a_study_that_is_opened_again_goes_on_and_does_not_propose_its_first_trials_again(tmp_path):
    file = tmp_path / "sweeps" / "a.journal"
    first = asked(open_study(file, "minimize", SAMPLER), 3)
    second = open_study(file, "minimize", SAMPLER)
    assert [trial.params["a"] for trial in second.trials] == first
    assert not set(asked(second, 3)) & set(first)
    assert asked(open_study(tmp_path / "b.journal", "minimize", SAMPLER), 3) == first


def test_of_commands_that_open_one_study_at_once_none_proposes_the_trials_of_another(tmp_path):
    studies = [open_study(tmp_path / "a.journal", "minimize", SAMPLER) for _ in range(3)]
    assert len({value for study in studies for value in asked(study, 3)}) == 9


def test_a_grid_stays_one_grid_whoever_asks_it(tmp_path):
    grid = {"name": "GridSampler", "search_space": {"a": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "seed": 3}
    studies = [open_study(tmp_path / "a.journal", "minimize", grid)]
    found = asked(studies[0], 2)
    studies.append(open_study(tmp_path / "a.journal", "minimize", grid))
    assert len({*found, *(value for _ in range(2) for study in studies for value in asked(study, 1))}) == 6


@pytest.mark.parametrize("damage", [b'{"op_code": 5, "work', b"\0\0\0\n", b"[]\n"])
def test_a_damaged_journal_keeps_what_stands_before_the_damage(tmp_path, damage, capsys):
    file = tmp_path / "a.journal"
    first = asked(open_study(file, "minimize", SAMPLER), 2)
    with file.open("ab") as opened:
        opened.write(damage)
    again = open_study(file, "minimize", SAMPLER)
    assert "damaged" in capsys.readouterr().err
    asked(again, 1)
    assert [trial.params["a"] for trial in open_study(file, "minimize", SAMPLER).trials][:2] == first
    assert len(open_study(file, "minimize", SAMPLER).trials) == 3


@pytest.mark.parametrize(
    "sampler", [{"name": "TPESample"}, {"name": "TPESampler", "seeed": 1}, {"name": "BaseSampler"}]
)
def test_a_sampler_that_is_none_is_refused_before_anything_is_created(tmp_path, sampler):
    with pytest.raises(Refusal):
        open_study(tmp_path / "a.journal", "minimize", sampler)
    assert not list(tmp_path.iterdir())
