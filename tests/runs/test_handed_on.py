"""What a run hands on is found by a word, or refused with what it has instead."""

import json

import fabricated
import pytest

from expctl.base.refusal import Refusal
from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.runs.handed_on import best_step, handed_on, loaded_files
from expctl.runs.records import Summary


def save_weights(folder, content="weights"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in (
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "README.md",
        "optimizer.pt",
        "training_args.bin",
    ):
        (folder / name).write_text(f"{name} {content}")


def save_checkpoint(run: Run, step: int):
    save_weights(run.checkpoints / f"checkpoint-{step}", f"after {step}")
    (run.checkpoints / f"checkpoint-{step}" / "complete.json").write_text("{}")


@pytest.fixture
def completed(tmp_path, monkeypatch):
    """A run of 6 steps whose loss was least after step 4; it has the checkpoints 4 and 6."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    run = fabricated.run_of(fabricated.experiment(tmp_path), status=manifest.COMPLETED)
    save_weights(run.model, "final")
    for step in (4, 6):
        save_checkpoint(run, step)
    losses = [(2, 0.5), (4, 0.2), (6, 0.2)]
    fabricated.write_metrics(run, [{"step": 0, "eval_loss": 0.1}, *({"step": s, "eval_loss": v} for s, v in losses)])
    Summary(objective=0.2, objective_name="eval_loss", direction="minimize", steps=6).write(run.summary)
    return run


def test_the_words_behind_the_at_lead_to_the_folders_of_their_weights(completed):
    beginning = completed.run_id[:12]
    found = {word: handed_on(f"{beginning}{word}") for word in ("", "@best", "@last", "@checkpoint-6", "@checkpoint-4")}
    assert {word: (weights.step, weights.folder.name) for word, weights in found.items()} == {
        "": (6, "model"),
        "@best": (4, "checkpoint-4"),
        "@last": (6, "checkpoint-6"),
        "@checkpoint-6": (6, "checkpoint-6"),
        "@checkpoint-4": (4, "checkpoint-4"),
    }
    assert found["@best"].word == f"{completed.run_id}@best"
    assert handed_on(str(completed.folder)).folder == completed.model


def test_the_first_of_equally_good_steps_is_the_best_and_what_was_measured_before_training_is_none(completed):
    assert best_step(completed) == 4
    Summary(objective=0.5, objective_name="eval_loss", direction="maximize", steps=6).write(completed.summary)
    assert best_step(completed) == 2
    Summary(objective=0.5, objective_name="loss", direction="minimize", steps=6).write(completed.summary)
    assert best_step(completed) is None


def test_the_final_model_is_the_best_one_where_the_run_has_loaded_that(completed):
    config = completed.config.read_text().replace("max_steps: 4", "max_steps: 4\n  load_best_model_at_end: true")
    completed.config.write_text(config)
    Summary(objective_name="eval_loss", direction="minimize", steps=6, best_step=2).write(completed.summary)
    assert (handed_on(completed.run_id).step, handed_on(f"{completed.run_id}@best").step) == (2, 2)
    assert handed_on(f"{completed.run_id}@best").folder == completed.model  # its checkpoint is gone
    assert handed_on(f"{completed.run_id}@last").folder.name == "checkpoint-6"


@pytest.mark.parametrize(
    ("word", "what", "nearest"),
    [
        ("@checkpoint-2", "checkpoint-2 of .* is not there .* it has checkpoint-4, checkpoint-6", "@checkpoint-4"),
        ("@bst", "a run has no '@bst'", "@best"),
        ("@checkpoint-x", "a run has no '@checkpoint-x'", None),
        ("-and-more", "no run is called", None),
    ],
)
def test_what_a_run_does_not_have_is_refused_with_what_it_has(word, what, nearest, completed):
    with pytest.raises(Refusal, match=what) as refused:
        handed_on(completed.run_id + word)
    assert nearest is None or refused.value.nearest[0] == completed.run_id + nearest


def test_a_run_that_is_not_completed_and_one_whose_model_is_gone_hand_on_nothing(completed):
    told = json.loads(completed.manifest.read_text())
    completed.manifest.write_text(json.dumps(told | {"status": "interrupted"}))
    with pytest.raises(Refusal, match="is interrupted") as refused:
        handed_on(completed.run_id)
    assert refused.value.do.startswith(f"expctl resume {completed.run_id}")
    completed.manifest.write_text(json.dumps(told))
    for file in loaded_files(completed.model):
        file.unlink()
    with pytest.raises(Refusal, match="no final model any more") as refused:
        handed_on(completed.run_id)
    assert f"{completed.run_id}@checkpoint-4" in refused.value.nearest


def test_only_what_is_loaded_counts_as_the_content_of_weights(completed):
    assert [file.name for file in loaded_files(completed.model)] == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
