"""What `load` hands to a trainer."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from expctl import models


@pytest.fixture
def resaved(tmp_path):
    """A copy of the embedded model whose tokenizer a test may change."""

    def save(**tokenizer_changes) -> str:
        model, tokenizer = models.load("embedded:tiny")
        for name, value in tokenizer_changes.items():
            setattr(tokenizer, name, value)
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        return str(tmp_path)

    return save


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_weights_come_in_the_dtype_asked_for(name):
    model, _ = models.load("embedded:tiny", dtype=name)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, name)}


def test_auto_takes_the_dtype_that_the_weights_were_saved_in(tmp_path):
    model, tokenizer = models.load("embedded:tiny", dtype="bfloat16")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert models.load(str(tmp_path), dtype="auto")[0].dtype == torch.bfloat16
    assert models.load(str(tmp_path))[0].dtype == torch.float32


def test_an_unknown_dtype_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"model\.dtype=fp16: unknown; one of auto, float32, bfloat16, float16"):
        models.load("embedded:tiny", dtype="fp16")


def test_the_attention_asked_for_is_used():
    assert models.load("embedded:tiny", attn_implementation="eager")[0].config._attn_implementation == "eager"


def test_a_tokenizer_without_a_pad_token_pads_with_its_end(resaved):
    folder = resaved(pad_token=None)
    assert AutoTokenizer.from_pretrained(folder).pad_token is None
    model, tokenizer = models.load(folder)
    assert tokenizer.pad_token == tokenizer.eos_token
    assert model.config.pad_token_id == model.generation_config.pad_token_id == tokenizer.eos_token_id


def test_a_pad_token_that_is_there_stays(resaved):
    _, tokenizer = models.load(resaved())
    assert tokenizer.pad_token not in (None, tokenizer.eos_token)


def test_a_tokenizer_that_can_neither_pad_nor_end_is_refused(resaved):
    with pytest.raises(ValueError, match="neither a pad nor an end"):
        models.load(resaved(pad_token=None, eos_token=None))


def test_prompts_of_different_length_generate_as_each_does_alone():
    # Padding on the right would put padding between the prompt and its completion.
    model, tokenizer = models.load("embedded:tiny")
    model.eval()
    texts = ["37+58=", "1+2="]

    def complete(prompts: list[str]) -> list[str]:
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        batch.pop("token_type_ids", None)
        ids = model.generate(**batch, max_new_tokens=12, do_sample=False)
        return tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)

    assert complete(texts) == [complete([text])[0] for text in texts]


def test_what_was_loaded_can_be_saved_and_loaded_again(resaved):
    folder = resaved()
    model, _ = models.load(folder)
    original, _ = models.load("embedded:tiny")
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), original.parameters(), strict=True))


@pytest.fixture
def adapter(tmp_path):
    """`adapter(base) -> folder`: a LoRA adapter with weights of its own, that says it is for `base`."""
    from peft import LoraConfig, get_peft_model

    def save(base: str) -> str:
        model, tokenizer = models.load("embedded:tiny")
        torch.manual_seed(0)
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
        adapted.save_pretrained(tmp_path / "adapter")
        tokenizer.save_pretrained(tmp_path / "adapter")
        file = tmp_path / "adapter" / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))
        return str(tmp_path / "adapter")

    return save


def test_an_adapter_is_merged_into_its_base_model_and_trains_all_weights(adapter):
    folder = adapter("embedded:tiny")
    merged, tokenizer = models.load(folder)
    plain, _ = models.load("embedded:tiny")
    attached = PeftModel.from_pretrained(models.load("embedded:tiny")[0], folder)
    ids = tokenizer("12+34=", return_tensors="pt")
    assert type(merged) is type(plain) and all(weight.requires_grad for weight in merged.parameters())
    assert torch.allclose(merged(**ids).logits, attached(**ids).logits, atol=1e-4)
    assert not torch.allclose(merged(**ids).logits, plain(**ids).logits, atol=1e-2)


def test_an_adapter_over_an_adapter_is_merged_after_it_and_brings_its_tokenizer(adapter, tmp_path):
    first = Path(adapter("embedded:tiny")).rename(tmp_path / "first")
    second = adapter(str(first))
    config = json.loads((tmp_path / "adapter" / "tokenizer_config.json").read_text())
    (tmp_path / "adapter" / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 77}))
    assert models.resolve(second).adapters == (str(first), second)
    both, tokenizer = models.load(second)
    once = PeftModel.from_pretrained(models.load(str(first))[0], second).merge_and_unload()
    assert all(torch.equal(*pair) for pair in zip(both.parameters(), once.parameters(), strict=True))
    assert tokenizer.model_max_length == 77


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/home/ann/venv/lib/python3.12/site-packages/expctl/models/tiny", "embedded"),
        ("/scratch/hf/models--org--name-1.5/snapshots/0a1b2c", "cache"),
        ("/home/ann/.cache/expctl/models/mine", "folder"),
    ],
)
def test_the_base_of_an_adapter_that_is_recorded_as_another_machines_place_is_found_by_its_name(
    place, kind, adapter, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path))
    repository = tmp_path / "hub" / "models--org--name-1.5"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    for folder in (repository / "snapshots" / "abc", tmp_path / ".cache/expctl/models/mine"):
        shutil.copytree(models.resolve("embedded:tiny").source, folder)
    location = models.resolve(adapter(place))
    assert location.kind == kind and len(location.adapters) == 1


def test_an_adapter_for_itself_is_refused(adapter, tmp_path):
    with pytest.raises(ValueError, match="adapter for itself"):
        models.resolve(adapter(str(tmp_path / "adapter")))


@pytest.mark.parametrize(
    ("base", "message"),
    [("/nowhere/at/all", "cannot be used"), ("", "names no base_model"), (None, "names no base_model")],
)
def test_an_adapter_whose_base_model_is_not_here_is_refused_with_both(base, message, adapter):
    folder = adapter(base)
    with pytest.raises((FileNotFoundError, ValueError), match=message) as refused:
        models.resolve(folder)
    assert folder in str(refused.value)
