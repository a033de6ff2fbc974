"""The toy keeps its settings to the last bit of the run's id; another model gets those of the published recipes."""

import pytest

from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.runs.identity import config_hash

# Words beside model=tiny -> the beginning of the hash, as it was before algorithms had recipes for other models.
TOY_RUNS = {
    # What algorithm=dpo was on the toy, before it had the paper's loss there too.
    "algorithm=dpo_sft": "8d2af0ca",
    "algorithm=dpo_sft peft=lora": "73b03c3d",
    "algorithm=dpo_sft callbacks=early_stopping": "9a357338",
    "algorithm=dpo_sft callbacks=completions": "78e1f356",
    "algorithm=dpo_bema args.loss_type=[sigmoid,sft] args.loss_weights=[0.5,1.0]": "62cddbf0",
    "algorithm=dpo_bema args.loss_type=[sigmoid,sft] args.loss_weights=[0.5,1.0] peft=lora": "4e1b62c2",
    "algorithm=gfpo": "90dc4afd",
    "algorithm=gfpo peft=lora": "0a9bcc43",
    "algorithm=gfpo callbacks=early_stopping": "fa4d8c3c",
    "algorithm=gfpo algorithm/ratio=sequence_token algorithm/replay=on": "cc348280",
    "algorithm=grpo": "19a67a94",
    "algorithm=grpo algorithm/reference=bema": "1bbc569d",
    "algorithm=grpo_replay": "42a5f1e7",
    "algorithm=gspo": "0f116fe7",
    "algorithm=gspo_token": "f968379c",
    "algorithm=sft": "d5c4d0b6",
    "algorithm=sft peft=lora": "5d55f789",
    "algorithm=sft callbacks=early_stopping": "1935194d",
    "algorithm=sft callbacks=completions": "7aea08ca",
}
REAL = ["model=local", "hardware=cpu"]


@pytest.fixture
def args(copied_model):
    """`args(*words)`: the arguments that words compose to for a model that is no toy."""
    return lambda *words: compose([*REAL, f"model.path={copied_model}", *words]).config["args"]


@pytest.fixture
def copied_model(tmp_path):
    """A folder that holds a model."""
    import shutil
    from pathlib import Path

    from expctl import models

    return shutil.copytree(Path(models.__file__).parent / "tiny", tmp_path / "a_model")


@pytest.mark.parametrize("words", TOY_RUNS)
def test_the_toy_is_trained_as_ever(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_hash(compose([*words.split(), "hardware=cpu"])).startswith(TOY_RUNS[words])


@pytest.mark.parametrize("algorithm", ["sft", "dpo", "dpo_bema", "grpo", "gfpo", "grpo_replay", "gspo", "gspo_token"])
def test_another_model_is_trained_for_epochs_and_ends_as_its_best_checkpoint(algorithm, args, copied_model):
    experiment = compose([*REAL, f"model.path={copied_model}", f"algorithm={algorithm}"])
    assert check(experiment) == []
    composed = experiment.config["args"]
    assert "max_steps" not in composed and composed["num_train_epochs"] >= 1
    assert composed["load_best_model_at_end"] and composed["eval_strategy"] == composed["save_strategy"] == "steps"
    assert composed["save_steps"] == composed["eval_steps"] >= 25
    assert composed["metric_for_best_model"] == experiment.config["algorithm"]["objective"]
    assert composed["greater_is_better"] == (experiment.config["algorithm"]["direction"] == "maximize")
    assert 0 < composed["warmup_steps"] < 1


def test_an_algorithm_of_the_user_s_own_counts_over_the_toy_and_over_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conf" / "algorithm" / "mine.yaml"
    file.parent.mkdir(parents=True)
    own = (
        "# @package _global_\n# Mine.\ndefaults: [grpo, _self_]\nargs: {max_steps: 7, warmup_steps: 3, save_steps: 4}\n"
    )
    file.write_text(own)
    for model in ("tiny", "qwen3_0_6b"):
        composed = compose(["algorithm=mine", f"model={model}", "hardware=cpu"]).config["args"]
        assert (composed["max_steps"], composed["warmup_steps"], composed["save_steps"]) == (7, 3, 4)
        # Checkpoints no longer fall on evaluations, so none of them is the best.
        assert not composed.get("load_best_model_at_end")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["args.max_steps=3"], {"max_steps": 3, "load_best_model_at_end": True}),
        (["args.eval_steps=10"], {"eval_steps": 10, "save_steps": 10, "load_best_model_at_end": True}),
        (["args.eval_steps=0.1"], {"eval_steps": 0.1, "save_steps": 0.1, "load_best_model_at_end": True}),
        (["args.save_steps=200"], {"save_steps": 200, "load_best_model_at_end": True}),
        (["args.save_steps=10"], {"save_steps": 10, "load_best_model_at_end": False}),
        (["args.save_steps=0.1"], {"load_best_model_at_end": False}),
        (["args.save_strategy=best"], {"save_strategy": "best", "load_best_model_at_end": True}),
        (["args.save_strategy='no'"], {"load_best_model_at_end": False}),
        (["args.eval_strategy='no'"], {"eval_strategy": "no", "load_best_model_at_end": False}),
        (["args.eval_strategy=epoch"], {"save_strategy": "epoch", "load_best_model_at_end": True}),
        (["args.do_eval=false"], {"eval_strategy": "no", "load_best_model_at_end": False}),
        (["callbacks=early_stopping"], {"eval_steps": 10, "save_steps": 10, "load_best_model_at_end": True}),
        (["args.load_best_model_at_end=false"], {"eval_strategy": "steps", "load_best_model_at_end": False}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_typed_counts_and_what_goes_with_it_follows(words, expected, args):
    composed = args("algorithm=sft", *words)
    assert {name: composed[name] for name in expected} == expected


def test_a_rhythm_that_is_typed_and_cannot_be_is_refused(copied_model):
    typed = ["args.load_best_model_at_end=true", "args.save_steps=30"]
    (refusal,) = check(compose([*REAL, f"model.path={copied_model}", "algorithm=sft", *typed]))
    assert "save_steps=30" in refusal.what and "eval_steps=100" in refusal.what


def test_a_best_checkpoint_that_gives_way_is_told(copied_model):
    experiment = compose([*REAL, f"model.path={copied_model}", "algorithm=sft", "args.save_steps=10"])
    assert any("save_steps=10" in note and "eval_steps=100" in note for note in experiment.notes)


def test_a_real_model_on_the_toy_s_data_is_told_so_unless_it_was_asked_for():
    def notes(*words):
        return [note for note in compose([*words, "hardware=cpu"]).notes if "no dataset was named" in note]

    assert len(notes("model=qwen3_0_6b")) == 1
    assert not notes("model=qwen3_0_6b", "dataset=arithmetic") and not notes("model=qwen3_0_6b", "dataset=gsm8k")
    assert not notes() and not notes("model=local", "model.path=x")
