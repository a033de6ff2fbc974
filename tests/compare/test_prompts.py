"""Two evaluations of the same prompts are compared prompt by prompt."""

import json
from types import SimpleNamespace

import numpy
import pytest
from scipy import stats

from expctl.compare import prompts
from expctl.compare.comparison import BETTER, Difference, Metric, SeedStatistics
from expctl.compare.differences import by_prompts, with_verdicts
from expctl.runs.files import Run

RIGHT = "eval_rewards/right/mean"


def record(folder, rewards, *, weights=None, ids=None, tokens=5):
    """An evaluation that kept these rewards, a list a prompt."""
    folder.mkdir()
    rows = [
        {
            "set": "eval",
            "prompt_id": ids[number] if ids else f"p{number}",
            "completions": ["x"] * len(values),
            "rewards": {"right": values},
            "tokens": [tokens + number] * len(values),
            "ended": [True] * len(values),
        }
        for number, values in enumerate(rewards)
    ]
    Run(folder).completions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SimpleNamespace(run=Run(folder), config={f"reward.weights.{name}": w for name, w in (weights or {}).items()})


def grouped(label, *records):
    return SimpleNamespace(label=label, records=list(records))


def by_seeds(group, baseline):
    return Difference(group, baseline, False, 0, [], None, None, None, None, None, None, None)


def test_right_and_wrong_answers_are_compared_by_mcnemars_test_on_the_prompts_that_differ(tmp_path):
    first = [[1.0]] * 30 + [[0.0]] * 10
    second = [[1.0]] * 12 + [[0.0]] * 18 + [[1.0]] * 4 + [[0.0]] * 6
    group, baseline = grouped("a", record(tmp_path / "a", first)), grouped("b", record(tmp_path / "b", second))
    found = by_prompts(by_seeds("a", "b"), RIGHT, group, baseline, 0.95)
    assert found.over == "prompt" and found.pairs == 40 and found.test == prompts.MCNEMAR
    assert found.difference.value == pytest.approx((18 - 4) / 40)
    assert found.p == pytest.approx(stats.binomtest(18, 22).pvalue)
    assert found.improvement is None and found.seeds == []

    # One run a group is enough for a verdict, which says what it stands on.
    summaries = [SeedStatistics(label, 1, None, None, []) for label in ("b", "a")]
    metric = Metric(RIGHT, "right", None, "higher", True, summaries, [found])
    (judged,) = with_verdicts([metric], 0.05)
    verdict = judged.differences[0].verdict
    assert verdict.word == BETTER and "40 prompts" in verdict.sentence and prompts.MCNEMAR in verdict.sentence


def test_other_values_are_compared_by_their_paired_differences(tmp_path):
    generator = numpy.random.default_rng(0)
    first, second = generator.normal(1.0, 3.0, (2, 64))
    second += 0.9 * first
    made = [record(tmp_path / name, [[value] for value in values]) for name, values in (("a", first), ("b", second))]
    found = by_prompts(by_seeds("a", "b"), RIGHT, grouped("a", made[0]), grouped("b", made[1]), 0.95)
    test = stats.ttest_rel(first, second)
    assert found.test == prompts.PAIRED and found.p == pytest.approx(test.pvalue)
    interval = test.confidence_interval(0.95)
    assert found.difference.interval == pytest.approx((interval.low, interval.high))


def test_prompts_are_paired_by_what_was_asked_whatever_their_order_and_runs_of_a_group_are_averaged(tmp_path):
    ids = [f"q{number}" for number in range(10)] + ["q0"]  # asked twice
    values = [[float(number)] for number in range(11)]
    one = record(tmp_path / "one", values, ids=ids, weights={"right": 2.0})
    two = record(tmp_path / "two", [[value[0] + 4] for value in values], ids=ids, weights={"right": 2.0})
    turned = record(tmp_path / "three", values[9::-1] + values[10:], ids=ids[9::-1] + ids[10:], weights={"right": 2.0})
    both = prompts.of_both("eval_reward", grouped("a", one, two), grouped("b", turned))
    assert [x - y for x, y in zip(*both, strict=True)] == [4.0] * 11


def test_other_prompts_and_trainings_are_compared_by_seeds(tmp_path):
    one = record(tmp_path / "one", [[1.0]] * 20)
    other = record(tmp_path / "other", [[1.0]] * 20, ids=[f"other{number}" for number in range(20)])
    trained = SimpleNamespace(run=Run(tmp_path / "trained"), config={})
    for second in (other, trained):
        unchanged = by_seeds("a", "b")
        assert by_prompts(unchanged, RIGHT, grouped("a", one), grouped("b", second), 0.95) is unchanged
    # Three seeds and more are compared as seeds: they say something of the algorithm.
    three = grouped("a", one, one, one)
    unchanged = by_seeds("a", "b")
    assert by_prompts(unchanged, RIGHT, three, three, 0.95) is unchanged


def test_the_interval_covers_and_the_test_seldom_errs():
    generator = numpy.random.default_rng(1)
    covered = erred = 0
    everything = generator.normal(0, 1.5, 400_000)
    chances = [lambda easy: 1 / (1 + numpy.exp(-easy - 1.9)), lambda easy: 1 / (1 + numpy.exp(-easy - 1.15))]
    true = float((chances[0](everything) - chances[1](everything)).mean())
    for _ in range(300):
        easy = generator.normal(0, 1.5, 128)
        first, second, again = (
            (generator.random(128) < chance(easy)).astype(float) for chance in (chances[0], chances[1], chances[0])
        )
        low, high = prompts.difference(first, second, 0.95)[0].interval
        covered += low <= true <= high
        erred += prompts.difference(first, again, 0.95)[1] <= 0.05
    assert covered / 300 >= 0.91 and erred / 300 <= 0.07
