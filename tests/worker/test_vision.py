"""A model that sees is trained on pictures, carried on to the last bit, and refused by what it does not go with."""

import json

import pytest
import tiny_vision
import torch
from resuming import SMALL, composed, resumed, whole

from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.models.loading import load
from expctl.models.seeing import sees, text_tokenizer
from expctl.worker.libraries import import_libraries
from expctl.worker.preflight.phases import preflight

SHORT = ["args.per_device_train_batch_size=4", "args.per_device_eval_batch_size=4", "dataset.eval_size=4"]
REWARD = "reward.functions={remainder:{_target_:tiny_vision.remainder,_partial_:true}}"
GFPO = ["args.num_generations=4", "args.num_remains_in_group=2", "args.max_completion_length=6"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the model `vlm` and the rows `data/colors.jsonl`."""
    folder = tmp_path_factory.mktemp("vision")
    tiny_vision.save_model(folder / "vlm")
    tiny_vision.save_rows(folder / "data")
    return folder


@pytest.fixture
def words(place):
    """The words of an experiment with the model and the data, but for the algorithm."""
    data = [word for word in SMALL if not word.startswith("dataset.")]
    path = ["model=local", f"model.path={place}/vlm", "dataset=files", f"dataset.path={place}/data/colors.jsonl"]
    return [*data, *path, *SHORT, "hardware=cpu"]


def test_it_is_known_by_its_config_and_comes_with_its_processor(place):
    assert sees(json.loads((place / "vlm" / "config.json").read_text()))
    assert not sees({"architectures": ["Qwen3ForCausalLM"]})
    model, processor = load(str(place / "vlm"))
    assert hasattr(processor, "image_processor") and text_tokenizer(processor).padding_side == "left"
    assert model.config.vision_config.patch_size == tiny_vision.PATCH


@pytest.mark.parametrize(
    "more",
    [["algorithm=sft"], ["algorithm=dpo"], ["algorithm=gfpo", *GFPO, "args.temperature=4.0", REWARD]],
    ids=["sft", "dpo", "gfpo"],
)
def test_a_resumed_training_on_pictures_is_the_undisturbed_one(more, words, tmp_path):
    """To the last bit; and what sees is trained too."""
    steps = ["prompts_per_step=4"] if "algorithm=gfpo" in more else []
    more = [*words, *more, *steps, "args.max_steps=2", "args.learning_rate=1e-2", "args.warmup_steps=0"]
    undisturbed = whole(tmp_path / "whole", *more)
    resumed(tmp_path / "whole", 1, *more).assert_equals(undisturbed)
    assert undisturbed.steps == 2
    moved = [name for name, weight in undisturbed.weights.items() if not torch.equal(weight, undisturbed.first[name])]
    assert any("vision" in name or "projector" in name for name in moved), "nothing of what sees was trained"


def test_the_preflight_takes_a_step_with_pictures(words):
    few = [GFPO[0], GFPO[2], "prompts_per_step=4", "args.num_generations_eval=1"]
    config = composed(*words, "algorithm=grpo", *few)
    import_libraries(config)
    assert preflight(config)["wrong"] == []


@pytest.mark.parametrize(
    ("more", "said", "do"),
    [
        (["algorithm=sft", "model=tiny", "model.path=embedded:tiny"], "reads texts alone", "vision-language model"),
        (["algorithm=kto"], "algorithm=kto takes no images", "sft, dpo, grpo"),
        (["algorithm=orpo"], "algorithm=orpo takes no images", "sft, dpo, grpo"),
        (["algorithm=sft", "callbacks=completions"], "samples without images", "expctl eval"),
    ],
)
def test_pictures_for_a_model_or_a_trainer_that_takes_none_are_refused(more, said, do, words):
    refusals = check(compose([*words, *more]))
    assert any(said in refusal.what and do in (refusal.do or "") for refusal in refusals), [r.what for r in refusals]


def test_a_model_that_sees_is_trained_on_texts_as_well(words, tmp_path):
    texts = [word for word in words if not word.startswith("dataset")]
    rows = ["dataset.train_size=16", "dataset.eval_size=4", "algorithm=sft", "args.max_steps=1"]
    assert check(compose([*(word for word in texts if "eval_batch" not in word), *rows])) == []
    assert whole(tmp_path / "texts", *texts, *rows).steps == 1
