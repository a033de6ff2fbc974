"""What `scripts/gpu_check.py` trains on without a network: models of a real shape with random weights, and prompts."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

# By the models' published `config.json`: what decides memory and time. Attention heads have 128 dimensions.
SHAPES: dict[str, dict[str, Any]] = {
    "0.6B": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28},
    "1.7B": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28},
}
COMMON: dict[str, Any] = {
    "vocab_size": 151936,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
    "rope_theta": 1_000_000,
}
END = "<end>"


def random_model(shape: str, folder: Path) -> Path:
    """A folder with a Qwen3 of this shape, random weights and a tokenizer that has a word for every token.

    Its completions run to the limit: one token in 150,000 ends them.
    """
    if (folder / "config.json").exists():
        return folder
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], **COMMON, eos_token_id=1, pad_token_id=0, bos_token_id=None)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = Qwen3ForCausalLM(config)
    partial = folder.with_suffix(".partial")
    model.save_pretrained(partial)
    _tokenizer(COMMON["vocab_size"]).save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def _tokenizer(size: int) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, END: 1, "<unknown>": 2} | {f"w{number}": number for number in range(3, size)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token=END, unk_token="<unknown>", padding_side="left"
    )


def prompts(tokens: int, rows: int, path: Path) -> Path:
    """A JSONL file of `rows` prompts with as many words, each of them one token of `random_model`."""
    dice = random.Random(0)
    lines = [" ".join(f"w{dice.randrange(3, 150_000)}" for _ in range(tokens)) for _ in range(rows)]
    path.write_text("".join(json.dumps({"prompt": line, "answer": "0"}) + "\n" for line in lines))
    return path
