#!/usr/bin/env python
"""Makes the embedded tiny model again: a Qwen3 of 0.3 M parameters that adds two numbers at needless length.

    python scripts/make_tiny_model.py                    # writes expctl/models/tiny
    python scripts/make_tiny_model.py --out /some/dir

It is trained from nothing on the redundant completions of `expctl.data.arithmetic`, never on a held-out prompt. A share
of them are guesses, which are wrong: the model's accuracy is about 0.75 when sampled at temperature 1, and there is
something left to learn.
The same machine makes the same bytes each time.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from expctl.data.arithmetic import Sum, pools
from expctl.rewards.arithmetic import accuracy

SHIPPED = Path(__file__).resolve().parents[1] / "expctl" / "models" / "tiny"
WORDS = ("wait", "so")
GUESS_SHARE = 0.14
STEPS = 2600
CONCISE_UNTIL = 1200
BATCH = 64
LEARNING_RATE = 6e-3
IGNORED = -100


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, so it reads any text; each digit is a token, and so is each word of the chain of thought."""
    vocabulary = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = []
    for word in WORDS:
        for end in range(1, len(word) + 1):
            left, right = "Ġ" + word[: end - 1], word[end - 1]
            merges.append((left, right))
            vocabulary.append(left + right)
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template="{% for message in messages %}{{ message['content'] }}{% endfor %}",
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=352,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def draw_batch(
    sums: list[Sum], tokenizer: PreTrainedTokenizerFast, rng: random.Random, *, concise: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels `(B, T)`, padded on the right; the prompt bears no loss."""
    rows = []
    for sum_ in rng.choices(sums, k=BATCH):
        guessed = not concise and rng.random() < GUESS_SHARE
        completion = sum_.guess(rng) if guessed else sum_.completion() if concise else sum_.redundant(rng)
        rows.append((sum_.prompt, completion + tokenizer.eos_token))
    tokens = tokenizer(
        [prompt + completion for prompt, completion in rows], padding=True, padding_side="right", return_tensors="pt"
    )
    labels = tokens.input_ids.masked_fill(tokens.attention_mask == 0, IGNORED)
    labels[:, : len("10+10=")] = IGNORED
    return tokens.input_ids, labels


def train(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> None:
    """Concise completions first, which teach addition cheaply; then ever more redundant ones, at last only these."""
    sums, _ = pools()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, STEPS, pct_start=0.05)
    for step in range(STEPS):
        input_ids, labels = draw_batch(sums, tokenizer, rng, concise=rng.random() > step / CONCISE_UNTIL)
        loss = model(input_ids=input_ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1:5d}  loss {loss.item():.4f}", flush=True)


@torch.no_grad()
def measure(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, sums: list[Sum]) -> tuple[float, float]:
    """Accuracy and mean completion length in tokens (with the end token) of one sample a prompt at temperature 1."""
    prompts = tokenizer([sum_.prompt for sum_ in sums], return_tensors="pt")
    sampled = model.eval().generate(**prompts, max_new_tokens=128)[:, prompts.input_ids.shape[1] :]
    rewards = accuracy(tokenizer.batch_decode(sampled, skip_special_tokens=True), [sum_.answer for sum_ in sums])
    lengths = (sampled != tokenizer.pad_token_id).sum(dim=1)
    return sum(rewards) / len(rewards), lengths.float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write (default: the one that is shipped)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    torch.manual_seed(options.seed)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    started = time.monotonic()
    train(model, tokenizer, random.Random(options.seed))
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)

    seconds = time.monotonic() - started
    size = sum(file.stat().st_size for file in options.out.iterdir() if file.is_file())
    print(f"{options.out}: {model.num_parameters():,} parameters, {size:,} bytes, made in {seconds:.0f} s")
    _, held_out = pools()
    share_right, length = measure(model, tokenizer, held_out)
    print(f"{len(held_out)} held-out prompts at temperature 1: accuracy {share_right:.3f}, {length:.1f} tokens each")


if __name__ == "__main__":
    main()
