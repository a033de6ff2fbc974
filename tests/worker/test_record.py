"""What a resumed attempt keeps of the metrics before it."""

import json

import pytest

from expctl.runs.files import read_metrics
from expctl.worker.record import drop_rows_after


def checkpoint(folder, step, log_history):
    made = folder / f"checkpoint-{step}"
    made.mkdir()
    (made / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": log_history}))
    return made


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [
        {"step": 0, "eval_loss": 9.0},
        {"step": 1, "loss": 3.0},
        {"step": 2, "loss": 2.0},
        {"step": 2, "eval_loss": 2.5},
        {"step": 3, "loss": 1.0},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_beyond_the_checkpoint_go(metrics, tmp_path):
    drop_rows_after(metrics, checkpoint(tmp_path, 1, [{"step": 1, "loss": 3.0}]))
    assert [row["step"] for row in read_metrics(metrics)] == [0, 1]


def test_an_evaluation_that_the_checkpoint_has_behind_it_stays(metrics, tmp_path):
    drop_rows_after(metrics, checkpoint(tmp_path, 2, [{"step": 2, "loss": 2.0}, {"step": 2, "eval_loss": 2.5}]))
    assert read_metrics(metrics)[-1] == {"step": 2, "eval_loss": 2.5}


def test_an_evaluation_that_is_made_again_goes(metrics, tmp_path):
    """The one after training, of an attempt that was killed while it saved the model."""
    drop_rows_after(metrics, checkpoint(tmp_path, 2, [{"step": 2, "loss": 2.0}]))
    assert read_metrics(metrics)[-1] == {"step": 2, "loss": 2.0}


def test_of_two_evaluations_at_a_step_the_one_after_the_checkpoint_goes(metrics, tmp_path):
    """The best model's, after the evaluation within training that fell on the last step."""
    with metrics.open("a") as file:
        file.write('{"step": 3, "eval_loss": 2.0}\n{"step": 3, "eval_loss": 1.5}\n')
    drop_rows_after(metrics, checkpoint(tmp_path, 3, [{"step": 3, "loss": 1.0}, {"step": 3, "eval_loss": 2.0}]))
    assert read_metrics(metrics)[-2:] == [{"step": 3, "loss": 1.0}, {"step": 3, "eval_loss": 2.0}]


def test_a_log_of_the_epoch_s_end_that_is_made_again_goes(metrics, tmp_path):
    drop_rows_after(metrics, checkpoint(tmp_path, 3, []))
    assert read_metrics(metrics)[-1]["step"] == 2


def test_without_a_checkpoint_everything_goes(metrics):
    drop_rows_after(metrics, None)
    assert read_metrics(metrics) == []


def test_a_line_that_was_cut_short_goes_and_the_file_is_valid(metrics, tmp_path):
    metrics.write_text(metrics.read_text() + '{"step": 3, "lo')
    drop_rows_after(metrics, checkpoint(tmp_path, 3, [{"step": 3, "loss": 1.0}]))
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == [0, 1, 2, 2, 3]
