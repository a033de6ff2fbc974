"""Rows that leave the batch when they have ended, and prompts computed once: the same completions, from fewer rows."""

import math
from collections import Counter

import peft
import pytest
import torch
from gfpo_trainer import build_trainer, scored
from tiny_policy import EOS, FIRST, PAD, tiny_model, tiny_tokenizer
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MistralConfig,
    MistralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from expctl.algorithms import compact_sampling
from expctl.algorithms.compact_sampling import SHARE, is_compact, sample_compactly

GROUP, NEW = 4, 24
PROMPTS = ["0aab", "1", "2ab", "31b2ab", "1"]


class NoiseOfHistory(LogitsProcessor):
    """Noise that depends on a row's tokens alone, so that the likeliest token is a sample (Gumbel) in any batch.

    The first token says which completion of its group a row is. `end` is added to the end's score, else it is rare.
    """

    def __init__(self, width, end=1.0):
        self.width, self.end = width, end

    def __call__(self, input_ids, scores):
        if input_ids.shape[1] == self.width:
            scores = torch.full_like(scores, -math.inf)
            scores[torch.arange(len(scores)), FIRST + torch.arange(len(scores)) % GROUP] = 0.0
            return scores
        seeds = [hash(tuple(row)) % 2**31 for row in input_ids.tolist()]
        uniform = torch.stack([torch.rand(scores.shape[1], generator=torch.Generator().manual_seed(s)) for s in seeds])
        scores[:, EOS] += self.end
        return scores - (-uniform.clamp_min(1e-9).log()).log()


class Computed:
    """Rows of every forward pass, and its tokens in all."""

    def __init__(self, model):
        self.rows, self.tokens = [], 0
        model.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, _module, positional, named):
        ids = named["input_ids"]
        self.rows.append(len(ids))
        self.tokens += ids.numel()


def batch(prompts=PROMPTS, group=GROUP):
    texts = [text for text in prompts for _ in range(group)]
    return dict(tiny_tokenizer()(texts, padding=True, return_tensors="pt", return_token_type_ids=False))


def sampled(model, inputs, end=1.0, noise=True, **settings):
    """Completions without padding, and what was computed for them."""
    computed = Computed(model.get_base_model() if isinstance(model, peft.PeftModel) else model)
    width = inputs["input_ids"].shape[1]
    config = GenerationConfig(
        **{"max_new_tokens": NEW, "do_sample": False, "pad_token_id": PAD, "eos_token_id": EOS} | settings
    )
    processors = LogitsProcessorList([NoiseOfHistory(width, end)] if noise else [])
    tokens = model.eval().generate(**inputs, generation_config=config, logits_processor=processors)
    assert torch.equal(tokens[:, :width], inputs["input_ids"])
    rows = [row[: row.index(EOS) + 1] if EOS in row else row for row in tokens[:, width:].tolist()]
    return rows, computed


def both(make, inputs=None, **settings):
    """The same sampling by `generate` as it is, and compactly."""
    inputs = batch() if inputs is None else inputs
    plain = sampled(make(), dict(inputs), **settings)
    model = make()
    sample_compactly(model)
    return plain, sampled(model, dict(inputs), **settings)


def sliding_window():
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=5,
        pad_token_id=PAD,
    )
    return MistralForCausalLM(config)


def adapted():
    adapter = peft.LoraConfig(r=4, init_lora_weights=False, target_modules=["q_proj", "down_proj"])
    return peft.get_peft_model(tiny_model(), adapter)


@pytest.mark.parametrize("make", [tiny_model, adapted, sliding_window])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"top_k": 5, "top_p": 0.8, "min_p": 0.05, "temperature": 0.7, "do_sample": True},
        {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
        {"min_new_tokens": 6, "end": 4.0},
        {"use_cache": False},
        {"noise": False},
    ],
    ids=str,
)
def test_the_completions_are_those_of_generate_from_fewer_rows(make, settings):
    if settings.get("do_sample"):
        settings = settings | {"do_sample": False, "end": 2.0}
    (plain, whole), (compact, fewer) = both(make, **settings)
    assert compact == plain
    assert fewer.tokens < whole.tokens or not any(EOS in row for row in plain)


def test_prompts_without_padding_need_no_mask():
    (plain, whole), (compact, fewer) = both(tiny_model, batch(["0ab", "1ba"]))
    assert compact == plain and fewer.tokens < whole.tokens


def test_a_prompt_of_one_token_and_a_batch_without_groups_are_sampled_too():
    for inputs in (batch(["0"]), batch(["0ab", "1", "2bab"], group=1)):
        (plain, _), (compact, _) = both(tiny_model, inputs)
        assert compact == plain


@pytest.mark.parametrize("share", [SHARE, 1 / 4])
def test_a_row_is_computed_until_enough_of_its_batch_have_ended(share, monkeypatch):
    monkeypatch.setattr(compact_sampling, "SHARE", share)
    inputs = batch()
    (plain, whole), (_, fewer) = both(tiny_model, inputs)
    rows, width = inputs["input_ids"].shape
    lengths = [len(row) for row in plain]
    assert len(set(lengths)) > 4 and min(lengths) < NEW == max(lengths)
    assert whole.tokens == rows * (width + NEW - 1)
    expected, present = [len(set(PROMPTS))], list(lengths)
    for step in range(1, NEW + 1):
        expected.append(len(present))
        ended = sum(length <= step for length in present)
        if ended >= share * len(present):
            present = [length for length in present if length > step]
    assert fewer.rows == expected
    assert fewer.tokens == len(set(PROMPTS)) * (width - 1) + sum(expected[1:])


def test_samples_have_the_probabilities_of_the_model():
    """Chi-square of the first two tokens against those that a forward pass gives, at 4,096 samples of one prompt."""
    model, count = tiny_model(), 4096
    inputs = batch(["0ab"], group=count)
    prompt = inputs["input_ids"][:1]
    with torch.no_grad():
        first = model(prompt).logits[0, -1].softmax(-1)
        pairs = torch.cat([prompt.expand(16, -1), torch.arange(16)[:, None]], dim=1)
        second = model(pairs).logits[:, -1].softmax(-1)
    expected = {(EOS,): first[EOS]} | {
        (a, b): first[a] * second[a, b] for a in range(16) for b in range(16) if a != EOS
    }
    sample_compactly(model)
    torch.manual_seed(0)
    rows, _ = sampled(model, inputs, noise=False, do_sample=True, max_new_tokens=2)
    seen = Counter(map(tuple, rows))
    assert set(seen) <= set(expected)
    statistic = sum((seen[key] - count * float(p)) ** 2 / (count * float(p)) for key, p in expected.items())
    freedom = len(expected) - 1
    assert abs(statistic - freedom) < 4 * math.sqrt(2 * freedom)


def test_ranks_that_must_step_together_are_refused(monkeypatch):
    model = tiny_model()
    sample_compactly(model)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    model._is_fsdp_managed_module = True
    with pytest.raises(ValueError, match="all must step together"):
        sampled(model, batch())
    del model._is_fsdp_managed_module
    assert sampled(model, batch())[0] == sampled(tiny_model(), batch())[0]


@pytest.mark.parametrize(
    ("settings", "reason"), [({"num_beams": 2}, "beam_search"), ({"guidance_scale": 1.5}, "guidance_scale")]
)
def test_rows_that_depend_on_each_other_are_refused(settings, reason):
    model = tiny_model()
    sample_compactly(model)
    with pytest.raises(ValueError, match=reason):
        sampled(model, batch(), **settings)


def test_a_model_whose_rows_cannot_leave_is_refused(monkeypatch):
    config = T5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match="T5ForConditionalGeneration has an encoder"):
        sample_compactly(T5ForConditionalGeneration(config))

    class State:
        """A layer that holds a state of the whole batch."""

    class StateCache:
        def __init__(self, config):
            self.layers = [State()]

    monkeypatch.setattr(compact_sampling, "DynamicCache", StateCache)
    with pytest.raises(ValueError, match="Qwen3ForCausalLM has layers of State"):
        sample_compactly(tiny_model())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_checkpointing": True},
        {"keywords": {"peft_config": peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"])}},
    ],
    ids=["plain", "recomputed", "adapter"],
)
def test_a_trainer_trains_on_the_same_completions(settings, policy_folder, tmp_path):
    keywords = settings.get("keywords", {}) | {"rollout_func": None}
    greedy = {"generation_kwargs": {"do_sample": False}, "temperature": 1.0}
    batches, computed = [], []
    for name in ("whole", "compact"):
        trainer = build_trainer(policy_folder, tmp_path / name, **settings | {"keywords": keywords}, **greedy)
        if name == "compact":
            sample_compactly(trainer.model)
            assert is_compact(trainer.model)
        computed.append(Computed(trainer.accelerator.unwrap_model(trainer.model)))
        batches.append(scored(trainer))
        trainer.train()
    assert torch.equal(batches[0]["completion_ids"], batches[1]["completion_ids"])
    assert len(batches[0]["completion_ids"]) == 16


def test_a_model_that_is_left_alone_is_not_compact():
    assert not is_compact(tiny_model()) and not is_compact(torch.nn.Linear(1, 1))
