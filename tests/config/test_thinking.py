"""`model.thinking` reaches the chat template, where it has the switch; completions have positions in the model."""

import json
import shutil
from pathlib import Path

import pytest

from expctl import models
from expctl.cli.hydra_app import compose
from expctl.config.check import check

THINKS = "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
PROMPTS = ["dataset=reasoning_gym", "dataset.max_completion_length=32", "dataset.examples=0"]


@pytest.fixture
def model(tmp_path):
    """`model(template)`: the words for a model whose chat template that is; None for one without."""

    def words(template, **settings):
        folder = tmp_path / "a_model"
        shutil.copytree(Path(models.__file__).parent / "tiny", folder)
        file = folder / "tokenizer_config.json"
        config = json.loads(file.read_text())
        config.pop("chat_template", None)
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        file.write_text(json.dumps(config | settings))
        if template is not None:
            (folder / "chat_template.jinja").write_text(template)
        return ["model=local", f"model.path={folder}", "hardware=cpu", *PROMPTS]

    return words


def test_the_switch_is_told_to_a_trainer_that_renders_prompts(model):
    words = model(THINKS)
    for thinking in (True, False):
        experiment = compose([*words, f"model.thinking={thinking}"])
        assert check(experiment) == []
        assert experiment.config["args"]["chat_template_kwargs"] == {"enable_thinking": thinking}
        assert experiment.config["model"]["thinking"] is thinking


def test_without_it_nothing_of_it_is_kept(model):
    config = compose(model(THINKS)).config
    assert "thinking" not in config["model"] and "chat_template_kwargs" not in config["args"]


def test_what_is_typed_for_the_template_stands_beside_it(model):
    words = [*model(THINKS), "model.thinking=false", "args.chat_template_kwargs={tone: dry}"]
    assert compose(words).config["args"]["chat_template_kwargs"] == {"enable_thinking": False, "tone": "dry"}


def test_a_trainer_without_the_field_is_told_by_its_rows_and_a_callback_by_its_own_keyword(model):
    words = [*model(THINKS), "algorithm=sft", "callbacks=completions", "model.thinking=false"]
    experiment = compose(words)
    assert check(experiment) == [] and "chat_template_kwargs" not in experiment.config["args"]
    assert experiment.config["callbacks"]["completions"]["template_options"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("template", "settings", "parts"),
    [
        ("{{ messages }}", {}, ["has no switch 'enable_thinking'", "a_model"]),
        (None, {}, ["is missing"]),
        (None, {"chat_template": "{{ messages }}"}, ["has no switch"]),
        (None, {"chat_template": [{"name": "default", "template": "{{ messages }}"}]}, ["has no switch"]),
    ],
    ids=["a file", "no template", "in the tokenizer's config", "several of them"],
)
def test_a_template_without_the_switch_is_refused(template, settings, parts, model):
    (refusal,) = check(compose([*model(template, **settings), "model.thinking=true"]))
    assert all(part in refusal.what for part in parts) and "model.thinking=true" in refusal.where
    assert "model.thinking=null" in refusal.do


@pytest.mark.parametrize(
    "settings",
    [{"chat_template": THINKS}, {"chat_template": [{"name": "default", "template": THINKS}]}],
    ids=["in the tokenizer's config", "several of them"],
)
def test_the_switch_is_found_wherever_a_template_stands(settings, model):
    assert check(compose([*model(None, **settings), "model.thinking=true"])) == []


def test_a_preset_s_thinking_is_refused_for_another_folder_by_the_word_that_chose_it(model):
    folder = next(word for word in model("{{ messages }}") if word.startswith("model.path="))
    file = Path(folder.removeprefix("model.path=")) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"hidden_size": 1024, "num_hidden_layers": 28}))
    (refusal,) = check(compose(["model=qwen3_0_6b", folder, "hardware=cpu", *PROMPTS]))
    assert "model=qwen3_0_6b" in refusal.where and "no switch" in refusal.what


def test_another_model_than_the_preset_s_does_not_get_its_name_and_settings(model):
    words = model(THINKS)
    (refusal,) = check(compose(["model=qwen3_0_6b", *words[1:]]))
    assert "hidden_size=" in refusal.what and "(model=qwen3_0_6b has 1024)" in refusal.what
    assert refusal.do == f"model=local {words[1]}" and words[1] in refusal.where


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["args.chat_template_kwargs={enable_thinking: true}"], ["is false", "enable_thinking: true"]),
        (["dataset=arithmetic"], ["would do nothing", "plain texts"]),
    ],
    ids=["told otherwise", "not rendered"],
)
def test_a_switch_without_effect_is_refused(words, parts, model):
    typed = [word for word in model(THINKS) if not word.startswith("dataset.")]
    (refusal,) = check(compose([*typed, *words, "args.max_completion_length=32", "model.thinking=false"]))
    assert all(part in refusal.what for part in parts)


@pytest.mark.parametrize(("thinking", "length"), [("true", 4096), ("false", 1024), ("null", 1024)])
def test_a_model_that_thinks_first_has_longer_completions(thinking, length):
    words = ["model=qwen3_0_6b", "dataset=gsm8k", "hardware=cpu"]
    assert compose([*words, f"model.thinking={thinking}"]).config["args"]["max_completion_length"] == length
    assert compose([*words, "dataset.max_completion_length=7"]).config["args"]["max_completion_length"] == 7


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["args.max_completion_length=2048"], "args.max_completion_length"),
        (["dataset.max_completion_length=4096"], "args.max_completion_length"),
        (["algorithm=sft", "callbacks=completions", "dataset.max_completion_length=3000"], "callbacks.completions."),
    ],
    ids=["typed", "the dataset's", "of the callback"],
)
def test_a_completion_that_fills_the_positions_is_refused_by_number(words, key):
    refusals = [refusal for refusal in check(compose([*words, "hardware=cpu"])) if "positions" in refusal.what]
    (refusal,) = refusals
    assert refusal.what.startswith(key) and "2048 positions" in refusal.what
    assert check(compose(["args.max_completion_length=2047", "hardware=cpu"])) == []
