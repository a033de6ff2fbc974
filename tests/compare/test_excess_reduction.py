"""What was taken away of what the baseline added: the paper's own numbers, and words where a share means nothing."""

import pytest
from synthetic import GFPO, run

from expctl.base.refusal import Refusal
from expctl.compare.conclusion import compare_runs

LENGTH = "eval_completions/mean_length"
START, GRPO, GFPO_ENDS = [9.4, 9.5, 9.6, 9.5], [12.9, 13.1, 13.05, 12.95], [11.0, 10.8, 11.2, 11.0]


def compared(outputs, start, grpo, gfpo, *, config=None, **more):
    """GRPO and GFPO with their completion lengths before and after, by seed; None where it was not evaluated."""
    folders = []
    for ends, own, name in ((grpo, {}, "grpo"), (gfpo, GFPO | (config or {}), "gfpo")):
        for seed, (before, after) in enumerate(zip(start, ends, strict=False)):
            summary = {"before": {} if before is None else {LENGTH: before}}
            choices = {"algorithm": name}
            folders.append(run(outputs, seed, {LENGTH: after}, config=own, choices=choices, summary=summary))
    return compare_runs(folders, excess=[LENGTH], **more)


def taken(comparison):
    (difference,) = comparison.metric(LENGTH).differences
    return difference.excess


def test_it_is_equation_4_of_the_mean_lengths(tmp_path):
    """GFPO's table 2, average, shortest 4 of 24: 9.5, 13.0 and 11.0 thousand tokens are 57 % as these are rounded."""
    found = taken(compared(tmp_path, START, GRPO, GFPO_ENDS))
    assert (found.start, found.baseline, found.group) == pytest.approx((9.5, 13.0, 11.0))
    assert found.share.value == pytest.approx((13.0 - 11.0) / (13.0 - 9.5)) and found.seeds == [0, 1, 2, 3]
    assert 0 < found.share.low < found.share.value < found.share.high < 1
    assert "completion length: algorithm=gfpo took away 57 % (" in found.sentence
    assert (
        "of what algorithm=grpo added: 9.50 tokens at the start, 13.00 with algorithm=grpo, 11.00 with"
        in found.sentence
    )


def test_a_group_that_added_more_than_the_baseline_took_away_less_than_nothing(tmp_path):
    found = taken(compared(tmp_path, START, GRPO, [13.3, 13.2, 13.4, 13.1]))
    assert found.share.value < 0 and "took away -7 % (" in found.sentence


def test_where_the_baseline_shortened_that_is_said_and_no_share(tmp_path):
    found = taken(compared(tmp_path, [41.0, 43.0, 43.0], [31.4, 32.0, 33.1], [24.7, 24.5, 24.2]))
    assert found.share is None and (found.start, found.group) == pytest.approx((42.333, 24.467), abs=1e-3)
    said = "algorithm=grpo added nothing: 42.3 to 32.2 tokens (-10.2, -12.0 to -8.3; 3 seeds), so there is no excess"
    assert said in found.sentence


@pytest.mark.parametrize("grpo", [[41.4, 42.6, 45.0], [40.4, 43.6, 42.5]], ids=["longer perhaps", "shorter perhaps"])
def test_where_it_is_not_shown_that_the_baseline_added_anything_that_is_said(grpo, tmp_path):
    found = taken(compared(tmp_path, [41.0, 43.0, 43.0], grpo, [24.7, 24.5, 24.2]))
    assert found.share is None and "that algorithm=grpo added anything is not shown: 42" in found.sentence


@pytest.mark.parametrize(("lengths", "count"), [([9.5], "1 seed"), ([9.5, None], "1 seed")])
def test_one_seed_has_no_share(lengths, count, tmp_path):
    found = taken(compared(tmp_path, lengths, GRPO, GFPO_ENDS))
    assert found.share is None and f"cannot be said of {count} with an evaluation before training" in found.sentence


@pytest.mark.parametrize("key", ["model.path", "args.temperature"])
def test_groups_that_start_from_another_model_or_sampling_have_no_share(key, tmp_path):
    found = taken(compared(tmp_path, START, GRPO, GFPO_ENDS, config={key: "another"}))
    assert found.share is None and f"they did not start from the same, by {key}" in found.sentence


def test_a_metric_without_an_evaluation_before_training_is_refused(tmp_path):
    with pytest.raises(
        Refusal, match="algorithm=grpo has no evaluation of eval_completions/mean_length before training"
    ):
        compared(tmp_path, [None, None], GRPO, GFPO_ENDS)


def test_one_group_alone_is_refused(tmp_path):
    with pytest.raises(Refusal, match="one group alone"):
        compared(tmp_path, START, GRPO, [])


def test_it_is_added_to_the_metrics_that_were_asked_for_and_not_computed_unasked(tmp_path):
    comparison = compared(tmp_path, START, GRPO, GFPO_ENDS, asked=["training"])
    assert [one.name for one in comparison.metrics] == ["seconds.training", LENGTH]
    folders = [folder for group in comparison.groups for folder in group.folders]
    assert taken(compare_runs(folders)) is None
