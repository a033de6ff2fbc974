"""Curves over seeds: aligned by step, and honest about what is missing."""

import json
import math

import pytest
from compare import synthetic
from report import compared

from expctl.compare.conclusion import compare_runs
from expctl.compare.curves import MOST_POINTS, curves_of, learning_curves, records_of, trade, wasted_groups
from expctl.report.plots.pictures import pictures, write_pictures


def only(outputs, *runs, name="reward"):
    """The curve of one group whose runs logged these (step -> value)."""
    folders = [
        synthetic.run(outputs, seed, rows=[{"step": step, name: value} for step, value in points.items()])
        for seed, points in enumerate(runs)
    ]
    return curves_of(name, records_of(compare_runs(folders)))


def test_a_curve_is_the_mean_of_the_seeds_and_its_band_reaches_from_the_lowest_to_the_highest(tmp_path):
    (curve,) = only(tmp_path, {1: 0.0, 2: 1.0}, {1: 1.0, 2: 2.0}, {1: 5.0, 2: 3.0}).curves
    assert (curve.steps, curve.mean, curve.count, curve.logged) == ([1, 2], [2.0, 2.0], [3, 3], 3)
    assert (curve.low, curve.high) == ([0.0, 1.0], [5.0, 3.0])


def test_runs_that_logged_at_other_steps_are_read_between_their_own(tmp_path):
    (curve,) = only(tmp_path, {0: 0.0, 10: 10.0}, {0: 0.0, 4: 4.0, 10: 10.0}).curves
    assert curve.steps == curve.mean == [0, 4, 10]
    assert curve.low == curve.high == [0, 4, 10]


def test_a_shorter_run_ends_and_a_single_one_has_no_band(tmp_path):
    found = only(tmp_path, {1: 0.0, 2: 0.0, 3: 0.0}, {1: 1.0, 2: 1.0})
    (curve,) = found.curves
    assert (curve.count, curve.mean) == ([2, 2, 1], [0.5, 0.5, 0.0])
    assert (curve.low[2], curve.high[2]) == (None, None)


@pytest.mark.parametrize("nothing", [math.nan, math.inf, None, "none", True])
def test_what_is_no_number_is_a_gap_and_no_neighbour_reaches_over_it(tmp_path, nothing):
    (curve,) = only(tmp_path, {1: 1.0, 3: nothing, 5: 5.0}, {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 5.0}).curves
    assert curve.count == [2, 1, 1, 1, 2]
    assert curve.mean[2] == 3.0


def test_a_metric_that_a_group_never_logged_leaves_that_group_out_and_says_so(tmp_path):
    folders = [compared.make(tmp_path, 0, "grpo", compared.logged(0, 0.1, 4))]
    rows = [{name: value for name, value in row.items() if name != "reward"} for row in compared.logged(0, 0.1, 4)]
    comparison = compare_runs([*folders, compared.make(tmp_path, 0, "gfpo", rows)])
    drawn = {picture.name: picture for picture in pictures(comparison, records_of(comparison))}
    assert "No values of algorithm=gfpo." in drawn["curve-reward"].caption
    assert drawn["curve-reward"].legend == ["algorithm=grpo"]


def test_a_caption_says_which_runs_are_missing_where(tmp_path):
    whole = {step: float(step) for step in range(1, 6)}
    runs = [whole, {step: whole[step] for step in (1, 2, 3)}, {}]
    folders = [
        synthetic.run(tmp_path, seed, 0.5, rows=[{"step": step, "reward": value} for step, value in points.items()])
        for seed, points in enumerate(runs)
    ]
    comparison = compare_runs(folders)
    caption = pictures(comparison, records_of(comparison))[0].caption
    assert "all runs: 2 of 3 runs logged it." in caption
    assert "not all of 2 runs have a value at 2 steps between 4 and 5." in caption


def test_a_caption_says_where_an_interval_reaches_beyond_the_picture(tmp_path):
    two, three = (
        compare_runs(synthetic.two_algorithms(tmp_path / str(len(many)), many, many))
        for many in ([0.1, 0.2], [0.1, 0.15, 0.2])
    )
    beyond = "Intervals without an end reach beyond the picture."
    assert beyond in pictures(two, records_of(two))[0].caption
    assert beyond not in pictures(three, records_of(three))[0].caption


def test_a_run_of_many_steps_is_averaged_over_windows(tmp_path):
    found = only(tmp_path, {step: float(step % 2) for step in range(5000)}, dict.fromkeys(range(5000), 0.5))
    (curve,) = found.curves
    assert len(curve.steps) == MOST_POINTS and found.window == 25
    assert all(abs(mean - 0.5) < 0.02 for mean in curve.mean)


def test_one_logged_step_or_none_is_no_curve(tmp_path):
    assert only(tmp_path / "one", {1: 1.0}, {1: 2.0}) is None
    assert only(tmp_path / "none", {}, {}) is None
    assert only(tmp_path / "nan", {1: math.nan, 2: math.nan}) is None


def test_damaged_lines_and_steps_do_not_matter(tmp_path):
    odd = [{"step": None, "reward": 7.0}, {"reward": 8.0}, {"step": "two", "reward": 9.0}]
    folder = synthetic.run(tmp_path, 0, rows=[{"step": 1, "reward": 1.0}, *odd, {"step": 2, "reward": 2.0}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps([1]) + '\n{"step": 3, "rew')
    (curve,) = curves_of("reward", records_of(compare_runs([folder]))).curves
    assert (curve.steps, curve.mean) == ([1, 2], [1.0, 2.0])


def test_reward_against_length_needs_both_and_arrows_need_an_evaluation_before(tmp_path):
    comparison = compared.two(tmp_path / "all")
    both = trade(comparison, records_of(comparison))
    assert both.before["algorithm=grpo"] == pytest.approx((41.0, 0.51)) and len(both.ends) == 6
    rows = compared.logged(1, 0.1, 4)
    folders = [compared.make(tmp_path / "half", seed, "grpo", rows[seed:]) for seed in range(2)]
    half = compare_runs(folders)
    assert trade(half, records_of(half)).before == {}
    folders = [synthetic.run(tmp_path / "reward", seed) for seed in range(2)]
    alone = compare_runs(folders)
    assert trade(alone, records_of(alone)) is None


def test_wasted_groups_and_curves_are_those_that_were_logged(tmp_path):
    comparison = compared.two(tmp_path)
    groups = records_of(comparison)
    assert [one.name for one in wasted_groups(groups)] == ["frac_reward_zero_std"]
    assert [one.name for one in learning_curves(comparison, groups)] == ["reward", "completions/mean_length"]


def test_runs_without_any_log_still_have_their_final_values_drawn(tmp_path):
    folders = synthetic.two_algorithms(tmp_path, [0.5, None, math.nan], [0.7])
    comparison = compare_runs(folders)
    found = pictures(comparison, records_of(comparison))
    assert [picture.name for picture in found] == ["final-reward", "final-seconds-training"]
    assert len(write_pictures(found[:1], tmp_path / "plots")) == 2
