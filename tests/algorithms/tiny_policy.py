"""A policy of two layers, a tokenizer of sixteen tokens and deterministic rollouts, all built in code."""

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

WORDS = ["<pad>", "<eos>", "<unk>", "\n", *"0123456789ab"]
PAD, EOS, NEWLINE, FIRST = 0, 1, 3, 4


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )


def tiny_model(seed: int = 0) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(WORDS),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=64,
            pad_token_id=PAD,
            eos_token_id=EOS,
            bos_token_id=None,
        )
    )


def tiny_prompts(count: int = 24) -> Dataset:
    return Dataset.from_dict({"prompt": [f"{i % 10}{'a' * (i % 3 + 1)}" for i in range(count)]})


def scripted_rollout(prompts, trainer):
    """Completions that depend on prompt, place in the group and step only: no sampling, the same on any rank."""
    tokenizer, step = trainer.processing_class, trainer.state.global_step
    group = trainer.num_generations
    first_row = trainer.accelerator.process_index * len(prompts)
    prompt_ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    completion_ids = []
    for row, ids in enumerate(prompt_ids, start=first_row):
        place, seed = row % group, sum(ids) + 7 * step
        length = 1 + (seed + 2 * place) % 5
        completion_ids.append([FIRST + (seed + place * (t + 1)) % 12 for t in range(length)] + [EOS])
    return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}
