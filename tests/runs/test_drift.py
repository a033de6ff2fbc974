"""What came out differently when a run was done again is told truthfully."""

import pytest
from fabricated import write_metrics

from expctl.report.drift import verdict
from expctl.runs.drift import circumstances, compare_metrics, is_timed
from expctl.runs.files import Run
from expctl.runs.records import Manifest


@pytest.fixture
def compare(tmp_path):
    def compare(first, second):
        runs = [Run(tmp_path / name) for name in ("first", "second")]
        for run, rows in zip(runs, (first, second), strict=True):
            run.folder.mkdir(exist_ok=True)
            write_metrics(run, rows)
        return compare_metrics(*runs)

    return compare


ROWS = [{"step": 0, "eval_loss": 2.0}, {"step": 1, "loss": 1.0, "kl": None}, {"step": 2, "loss": 0.5, "step_time": 3.0}]


def test_equal_metrics_are_identical_whatever_the_times(compare):
    found = compare(ROWS, [*ROWS[:2], {"step": 2, "loss": 0.5, "step_time": 9.0}])
    assert verdict(found) == "identical: 2 steps, 3 metrics"


def test_the_first_difference_and_the_largest_are_told(compare):
    found = compare(ROWS, [ROWS[0], {"step": 1, "loss": 1.5, "kl": None}, {"step": 2, "loss": 0.0}])
    assert [(drift.name, drift.step, drift.was, drift.now) for drift in found.drifts] == [("loss", 1, 1.0, 1.5)]
    assert (found.drifts[0].largest, found.drifts[0].largest_step) == (1.0, 2)
    assert verdict(found).startswith("differ from step 1 on (loss 1 -> 1.5), 1 of 3 over 2 steps")


def test_the_smallest_difference_counts(compare):
    found = compare([{"step": 1, "loss": 1.0}], [{"step": 1, "loss": 1.0 + 2**-52}])
    assert len(found.drifts) == 1 and 0 < found.drifts[0].largest < 1e-15


def test_a_metric_that_only_one_of_them_has_differs(compare):
    found = compare([{"step": 1, "loss": 1.0}], [{"step": 1, "loss": 1.0, "kl": 0.1}])
    assert [(drift.name, drift.was, drift.now) for drift in found.drifts] == [("kl", None, 0.1)]


def test_steps_that_only_one_of_them_has_are_counted_and_not_compared(compare):
    found = compare(ROWS, ROWS[:2])
    assert verdict(found) == "identical: 1 step, 3 metrics (1 more in the first run)"
    assert verdict(compare(ROWS, [])) == "no step in both runs to compare (2 more in the first run)"


def test_rows_of_one_step_belong_together_and_the_later_value_counts(compare):
    first = [{"step": 1, "loss": 1.0}, {"step": 1, "eval_loss": 3.0}, {"step": 1, "eval_loss": 2.0}]
    assert not compare(first, [{"step": 1, "eval_loss": 2.0, "loss": 1.0}]).drifts


@pytest.mark.parametrize(
    "name",
    [
        "step_time",
        "eval_runtime",
        "eval_samples_per_second",
        "train_tokens_per_second",
        "timing/rollout_time",
        "eval_model_preparation_time",
        "train_mem_gpu_peaked_delta",
    ],
)
def test_times_and_rates_are_no_results(name):
    assert is_timed(name)


@pytest.mark.parametrize("name", ["loss", "rewards/short_time/mean", "eval_loss", "num_tokens", "timed_out", "memory"])
def test_other_metrics_are(name):
    assert not is_timed(name)


def recorded(**content):
    return Manifest.from_plain({"run_id": "a", "status": "completed"} | content)


def test_changed_circumstances_are_told_and_incidental_ones_are_not():
    was = recorded(
        versions={"trl": "1.16.0", "vllm": None},
        host="a",
        devices={"gpus": ["H200"], "cores": 8},
        environment={"OMP_NUM_THREADS": "1", "SLURM_JOB_ID": "1", "RANK": "0"},
        data={"train": {"rows": 10, "fingerprint": "aa"}, "eval": None},
        inputs={"rows.jsonl": "1"},
    )
    now = recorded(
        versions={"trl": "1.17.0", "vllm": None},
        host="b",
        devices={"gpus": [], "cores": 8},
        environment={"SLURM_JOB_ID": "2", "CUDA_VISIBLE_DEVICES": "0"},
        data={"train": {"rows": 11, "fingerprint": "aa"}, "eval": None},
        inputs={"rows.jsonl": "2"},
    )
    assert circumstances(was, was) == []
    assert circumstances(was, now) == [
        ("versions", "trl 1.16.0 -> 1.17.0"),
        ("host", "a -> b"),
        ("devices", "gpus H200 -> none"),
        ("environment", "OMP_NUM_THREADS 1 -> none"),
        ("environment", "CUDA_VISIBLE_DEVICES none -> 0"),
        ("data", "train rows 10 -> 11"),
        ("inputs", "rows.jsonl has other content"),
    ]


def test_what_an_older_run_did_not_record_has_not_drifted():
    older = recorded(versions={"trl": "1"}, host="a")
    assert circumstances(older, recorded(versions={"trl": "1"}, host="a", data={}, devices={}, environment={})) == []
