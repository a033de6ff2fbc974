"""From folders to verdicts: known effects are found, equal groups are left in peace."""

import json
from pathlib import Path

import numpy
import pytest
from synthetic import GFPO, run, sweep, two_algorithms

from expctl.base.refusal import Refusal
from expctl.compare.comparison import (
    BETTER,
    HIGHER,
    IDENTICAL,
    LOWER,
    NO_DIFFERENCE,
    TOO_FEW,
    WORSE,
    Estimate,
    Group,
)  # fmt: skip
from expctl.compare.conclusion import compare_runs
from expctl.compare.differences import compare_metric, with_verdicts
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record
from expctl.compare.verdict import number
from expctl.report.json_text import json_text
from expctl.runs.files import Run


def only(comparison, name="eval_reward"):
    (difference,) = comparison.metric(name).differences
    return difference


def in_memory(label, values, metrics=("eval_reward",)):
    """A group of runs with `values` (metrics, seeds), without a file."""
    records = [
        Record(Run(Path(f"{label}-{seed}")), {"status": "completed"}, {}, seed, "eval_reward", "maximize", 1, {},
               dict(zip(metrics, map(float, column), strict=True)), {}, {})
        for seed, column in enumerate(values.T)
    ]  # fmt: skip
    group = Group(label, {}, [r.run_id for r in records], [r.folder for r in records], [r.seed for r in records])
    return Grouped(group, records)


def test_a_clear_effect_is_better_and_turned_over_it_is_worse(tmp_path):
    folders = two_algorithms(tmp_path, [0.80, 0.81, 0.79, 0.80], [0.90, 0.91, 0.90, 0.91])
    found = only(compare_runs(folders))
    assert found.verdict.word == BETTER and found.paired and found.seeds == [0, 1, 2, 3]
    assert found.difference.value == pytest.approx(0.105) and found.difference.low > 0
    assert found.improvement.value == 1.0
    turned = compare_runs(folders, baseline="algorithm=gfpo")
    assert turned.baseline == "algorithm=gfpo" and only(turned).verdict.word == WORSE


def test_lower_is_better_where_the_objective_is_minimised(tmp_path):
    config = {"algorithm.objective": "eval_loss", "algorithm.direction": "minimize"}
    folders = [
        run(tmp_path, seed, {"eval_loss": value + 10 * rate * seed**2}, config=config | {"args.learning_rate": rate})
        for rate, value in ((1e-3, 0.5), (1e-4, 0.9)) for seed in range(4)
    ]  # fmt: skip
    found = only(compare_runs(folders), "eval_loss")
    assert found.verdict.word == WORSE and found.improvement.value == 0.0


def test_where_the_good_direction_is_not_known_it_is_said_which_is_higher(tmp_path):
    lengths = {"grpo": [40.0, 41, 42, 41], "gfpo": [25.0, 24, 26, 24]}
    measured = {name: [{"eval_completions/mean_length": one} for one in those] for name, those in lengths.items()}
    comparison = compare_runs(two_algorithms(tmp_path, measured["grpo"], measured["gfpo"]))
    found = only(comparison, "eval_completions/mean_length")
    assert found.verdict.word == LOWER and "completion length" in found.verdict.sentence
    turned = compare_runs([*map(Path, comparison.groups[1].folders), *map(Path, comparison.groups[0].folders)])
    assert only(turned, "eval_completions/mean_length").verdict.word == HIGHER


def test_fewer_than_three_seeds_get_no_verdict_but_that(tmp_path):
    found = only(compare_runs(two_algorithms(tmp_path, [0.1, 0.1], [0.9, 0.9])))
    assert found.verdict.word == TOO_FEW and found.verdict.seeds_needed >= 3 and found.p_corrected is None


def test_an_effect_that_is_not_shown_names_the_seeds_that_would_show_it(tmp_path):
    comparison = compare_runs(two_algorithms(tmp_path, [0.80, 0.82, 0.81], [0.86, 0.81, 0.83]))
    verdict = only(comparison).verdict
    assert verdict.word == TOO_FEW and 3 < verdict.seeds_needed <= 100
    assert f"about {verdict.seeds_needed} seeds" in verdict.sentence
    assert comparison.more_seeds == [f"expctl -m algorithm=grpo,gfpo 'seed=range(3,{verdict.seeds_needed})'"]


def test_many_seeds_without_an_effect_are_no_difference_shown(tmp_path):
    values = numpy.random.default_rng(3).normal(0.8, 0.01, 30)
    noise = numpy.random.default_rng(4).normal(0, 0.01, 30)
    comparison = compare_runs(two_algorithms(tmp_path, list(values), list(values + noise - noise.mean() + 1e-5)))
    found = only(comparison)
    assert found.verdict.word == NO_DIFFERENCE and found.verdict.seeds_needed is None
    assert found.detectable == pytest.approx(0.0051, rel=0.3) and "would have shown" in found.verdict.sentence
    assert comparison.more_seeds == [] and comparison.metric("eval_reward").groups[0].iqm is not None


def test_the_same_numbers_are_identical(tmp_path):
    assert only(compare_runs(two_algorithms(tmp_path, [0.5, 0.6, 0.7], [0.5, 0.6, 0.7]))).verdict.word == IDENTICAL


def test_groups_without_common_seeds_are_compared_unpaired(tmp_path):
    first = [run(tmp_path, seed, 0.8 + seed / 100) for seed in range(4)]
    second = [run(tmp_path, seed, 0.5 + seed / 100, config={"args.beta": 0.1}) for seed in range(4, 9)]
    found = only(compare_runs([*first, *second]))
    assert not found.paired and found.seeds == [] and found.verdict.word == WORSE


def test_seeds_that_only_one_group_has_do_not_break_the_pairs(tmp_path):
    first = [run(tmp_path, seed, 0.8 + seed / 10) for seed in range(4)]
    second = [run(tmp_path, seed, 0.85 + seed / 10 + seed / 1e4, config={"args.beta": 0.1}) for seed in range(1, 5)]
    found = only(compare_runs([*first, *second]))
    assert found.paired and found.seeds == [1, 2, 3] and found.difference.value == pytest.approx(0.0502)


def test_one_group_alone_has_its_mean_and_interval(tmp_path):
    comparison = compare_runs([run(tmp_path, seed, 0.8 + seed / 100) for seed in range(3)])
    assert comparison.metric("eval_reward").differences == []
    assert comparison.metric("eval_reward").groups[0].mean.low < 0.81


def test_times_are_shown_and_not_judged(tmp_path):
    comparison = compare_runs(two_algorithms(tmp_path, [0.8] * 3, [0.9] * 3))
    assert not comparison.metric("seconds.training").judged and comparison.corrected_for == 1
    assert only(comparison, "seconds.training").verdict is None


@pytest.mark.parametrize(("groups", "metrics", "seeds"), [(2, 1, 3), (2, 1, 5), (4, 3, 5)])
def test_equal_groups_are_called_better_or_worse_in_at_most_five_percent_of_comparisons(groups, metrics, seeds):
    """Of whole comparisons: one wrong word among their differences, and the comparison is wrong."""
    random = numpy.random.default_rng(groups * 10 + seeds)
    names = tuple(f"eval_rewards/r{place}/mean" for place in range(metrics))
    count, wrong, better = 150, 0, 0
    for _ in range(count):
        luck = random.normal(0.8, 0.03, (metrics, seeds))
        made = [in_memory(f"g{place}", luck + random.normal(0, 0.02, luck.shape), names) for place in range(groups)]
        judged = with_verdicts([compare_metric(name, made, 0.95) for name in names], 0.05)
        words = {one.verdict.word for metric in judged for one in metric.differences}
        wrong += bool(words & {BETTER, WORSE})
        better += BETTER in words
    limit = 0.05 + 4 * (0.05 * 0.95 / count) ** 0.5
    assert wrong / count <= limit and better / count <= 0.05, (wrong, better)


def test_a_large_effect_is_found_among_several_comparisons():
    random = numpy.random.default_rng(8)
    found = 0
    for _ in range(100):
        luck = random.normal(0.8, 0.03, (1, 7))
        made = [in_memory(f"g{n}", luck + random.normal(0.05 * (n == 2), 0.02, luck.shape)) for n in range(4)]
        (metric,) = with_verdicts([compare_metric("eval_reward", made, 0.95)], 0.05)
        found += metric.differences[1].verdict.word == BETTER
    assert found >= 80


def test_what_would_count_alone_does_not_among_many(tmp_path):
    names = [f"eval_rewards/r{place}/mean" for place in range(6)]
    base = {name: [0.80, 0.83, 0.81, 0.84] for name in names}
    other = {name: [0.80, 0.83, 0.815, 0.84 + place / 1e4] for place, name in enumerate(names)}
    other[names[0]] = [0.83, 0.845, 0.845, 0.862]
    rows = [[{name: values[name][seed] for name in names} for seed in range(4)] for values in (base, other)]
    comparison = compare_runs(two_algorithms(tmp_path, *rows), asked=names)
    found = only(comparison, names[0])
    assert comparison.corrected_for == 6
    assert found.p < 0.05 < found.p_corrected == pytest.approx(6 * found.p)
    assert found.verdict.word == TOO_FEW and "alone" in found.verdict.sentence


def test_metrics_are_asked_for_by_name_by_what_people_call_them_and_by_pattern(tmp_path):
    after = {
        "eval_reward": 0.5,
        "eval_rewards/accuracy/mean": 0.5,
        "eval_entropy": 0.1,
        "eval_completions/mean_length": 9,
    }
    folders = [run(tmp_path, seed, after, train={"grad_norm": 0.1}) for seed in range(2)]
    words = ("eval_entropy", "entropy", "completion length", "grad_norm", "*reward*", "training")
    named = {word: [one.name for one in compare_runs(folders, asked=[word]).metrics] for word in words}
    assert named == {
        "eval_entropy": ["eval_entropy"], "entropy": ["eval_entropy"], "grad_norm": ["train.grad_norm"],
        "completion length": ["eval_completions/mean_length"], "training": ["seconds.training"],
        "*reward*": ["eval_reward", "eval_rewards/accuracy/mean"],
    }  # fmt: skip
    with pytest.raises(Refusal) as refused:
        compare_runs(folders, asked=["eval_entropi"])
    assert "eval_entropy" in refused.value.nearest


def test_without_an_evaluation_the_last_training_step_is_compared_and_called_so(tmp_path):
    folders = [run(tmp_path, seed, {}, train={"reward": 0.1 * seed, "loss": 1.0}) for seed in range(3)]
    assert [one.title for one in compare_runs(folders).metrics] == ["reward in training", "seconds of training"]


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [(0.123456, 0.1, 0.2, "0.123"), (1.5e308, -1.7e308, 1.7e308, "1.5e+308"), (1e300, -numpy.inf, numpy.inf, "1e+300"),
     (5e-324, 0.0, 5e-324, "4.941e-324"), (1.0, numpy.nan, numpy.nan, "1")],
)  # fmt: skip
def test_a_number_of_any_size_is_written_to_the_digits_that_its_interval_knows(value, low, high, said):
    assert number(value, Estimate(value, low, high)) == said


def test_everything_is_said_in_json(tmp_path):
    folders = two_algorithms(tmp_path, [0.80, 0.81, float("nan")], [0.90, 0.91, 0.92])
    said = json.loads(json_text(compare_runs(folders)))
    assert said["groups"][0]["label"] == "algorithm=grpo" and said["metrics"][0]["groups"][0]["count"] == 2
    assert said["metrics"][0]["groups"][0]["values"][2]["value"] is None
    assert {"question", "level", "baseline", "varied", "corrected_for", "warnings", "refusals", "more_seeds"} <= set(
        said
    )


def test_a_grid_that_has_a_gap_is_made_up_for_group_by_group(tmp_path):
    first = [run(tmp_path, seed, 0.8, typed=("algorithm=grpo",)) for seed in (0, 1)]
    second = [run(tmp_path, 0, 0.8, typed=("args.beta=0.1",), config={"args.beta": 0.1})]
    sweep(tmp_path, "grpo-1", [*first, *second])
    assert compare_runs([*first, *second]).more_seeds == [
        "expctl -m algorithm=grpo seed=2",
        "expctl -m args.beta=0.1 seed=1,2",
    ]


def test_a_reward_that_is_one_function_is_not_a_comparison_more_also_beside_functions_without_weight(tmp_path):
    evaluated = [
        {"eval_reward": value, "eval_rewards/within/mean": value, "eval_rewards/accuracy/mean": value + 0.1}
        for value in (0.5, 0.6, 0.55)
    ]
    comparison = compare_runs(two_algorithms(tmp_path, evaluated, evaluated))
    assert [metric.title for metric in comparison.metrics if metric.judged] == ["within", "accuracy"]


def test_rows_of_a_table_of_experiments_are_called_by_their_names(tmp_path):
    folders = [
        run(tmp_path, seed, 0.5, typed=("experiment=table", f"experiment/table={row}"), config=config,
            choices={"algorithm": algorithm, "experiment": "table", "experiment/table": row})
        for row, algorithm, config in (("plain", "grpo", {}), ("short", "gfpo", GFPO))
        for seed in range(2)
    ]  # fmt: skip
    assert [group.label for group in compare_runs(folders).groups] == ["plain", "short"]
