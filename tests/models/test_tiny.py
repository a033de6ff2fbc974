from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import expctl
from expctl.data.arithmetic import load
from expctl.rewards.arithmetic import accuracy

TINY = Path(expctl.__file__).parent / "models" / "tiny"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(TINY, local_files_only=True)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(TINY, local_files_only=True).eval()


@pytest.fixture(scope="module")
def sampled(model, tokenizer):
    """256 held-out prompts with one sample each, under the model's own generation settings."""
    _, held_out = load(kind="prompt-only", seed=0, eval_size=256)
    prompts = tokenizer(held_out["prompt"][:], return_tensors="pt")
    torch.manual_seed(0)
    completion_ids = model.generate(**prompts, max_new_tokens=96)[:, prompts.input_ids.shape[1] :]
    return held_out, completion_ids


def test_the_shipped_model_is_small_enough_to_ride_in_the_package(model):
    assert 200_000 < model.num_parameters() < 350_000
    assert sum(file.stat().st_size for file in TINY.iterdir()) < 1.5e6


def test_it_answers_held_out_sums_well_and_leaves_something_to_learn(sampled, tokenizer):
    held_out, completion_ids = sampled
    rewards = accuracy(tokenizer.batch_decode(completion_ids, skip_special_tokens=True), held_out["answer"])
    assert 0.68 < sum(rewards) / len(rewards) < 0.82


def test_its_chains_of_thought_are_long_of_varying_length_and_end(sampled, tokenizer):
    _, completion_ids = sampled
    assert (completion_ids == tokenizer.eos_token_id).any(dim=1).float().mean() > 0.98
    lengths = (completion_ids != tokenizer.pad_token_id).sum(dim=1).float()
    assert 38 < lengths.mean() < 47
    assert lengths.std() > 8


def test_it_samples_at_temperature_one_unless_told_otherwise(model):
    settings = model.generation_config
    assert settings.do_sample and settings.temperature == 1.0 and settings.top_p == 1.0 and settings.top_k == 0


@pytest.mark.parametrize("text", ["37+58= 7+8=15 wait 3+5+1=9 so 95", "naïve café\n\t東京 🙂", "<|x|> {}"])
def test_the_tokenizer_gives_any_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_padding_and_end_are_different_tokens_and_the_model_knows_them(tokenizer, model):
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    for settings in (model.config, model.generation_config):
        assert (settings.pad_token_id, settings.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)


def test_padding_on_the_left_does_not_change_what_comes_next(model, tokenizer):
    assert tokenizer.padding_side == "left"
    batch = tokenizer(["37+58=", "37+58= 7+8=15 wait 7+8"], padding=True, return_tensors="pt")
    alone = tokenizer("37+58=", return_tensors="pt")
    assert batch.input_ids[0, 0] == tokenizer.pad_token_id
    with torch.no_grad():
        padded = model.generate(**batch, do_sample=False, max_new_tokens=12)[0, batch.input_ids.shape[1] :]
        plain = model.generate(**alone, do_sample=False, max_new_tokens=12)[0, alone.input_ids.shape[1] :]
    assert torch.equal(padded, plain)
