"""The line `start`: the evaluation before training, where it is one and the same for all groups."""

from pathlib import Path

import pytest
from synthetic import GFPO, run

from expctl.compare.comparison import Comparison
from expctl.compare.conclusion import compare_runs

LENGTH = "eval_completions/mean_length"


def started(outputs: Path, grpo: dict[int, float | None], gfpo: dict[int, float | None]) -> Comparison:
    """Runs whose completion length before training is given, by seed."""
    folders = [
        run(
            outputs, seed, {LENGTH: 30.0 + seed}, summary={"before": {} if length is None else {LENGTH: length}}, **more
        )
        for starts, more in ((grpo, {}), (gfpo, {"config": GFPO, "choices": {"algorithm": "gfpo"}}))
        for seed, length in starts.items()
    ]
    return compare_runs(folders)


def test_the_start_is_the_mean_over_seeds_of_all_groups_each_counted_once(tmp_path):
    comparison = started(tmp_path, {0: 40.0, 1: 42.0, 2: 44.0}, {0: 40.0, 1: 42.0, 3: 50.0})
    found = comparison.metric(LENGTH).start
    assert [value.seed for value in found.values] == [0, 1, 2, 3] and found.count == 4
    assert found.mean.value == pytest.approx(44.0) and found.mean.low < 44 < found.mean.high
    assert comparison.warnings == [] and comparison.metric("seconds.training").start is None


def test_last_digits_of_another_processor_are_no_other_start(tmp_path):
    comparison = started(tmp_path, {0: 40.0, 1: 42.0}, {0: 40.00001, 1: 42.0})
    assert comparison.metric(LENGTH).start.mean.value == pytest.approx(41.0) and comparison.warnings == []


def test_groups_that_start_elsewhere_have_no_common_start_and_it_is_said(tmp_path):
    comparison = started(tmp_path, {0: 40.0, 1: 42.0}, {0: 40.0, 1: 47.5})
    assert comparison.metric(LENGTH).start is None
    (warning,) = comparison.warnings
    assert "completion length of seed 1: 42 (algorithm=grpo), 47.5 (algorithm=gfpo)" in warning


@pytest.mark.parametrize(
    "gfpo", [{0: None, 1: None}, {7: 40.0, 8: 42.0}], ids=["not evaluated then", "no seed by which to know"]
)
def test_without_a_start_in_each_group_that_can_be_held_against_the_first_there_is_none(gfpo, tmp_path):
    comparison = started(tmp_path, {0: 40.0, 1: 42.0}, gfpo)
    assert comparison.metric(LENGTH).start is None and comparison.warnings == []


def test_a_group_alone_has_its_start(tmp_path):
    assert started(tmp_path, {0: 40.0, 1: 42.0}, {}).metric(LENGTH).start.mean.value == pytest.approx(41.0)
