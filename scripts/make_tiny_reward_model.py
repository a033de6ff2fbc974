"""Make the embedded reward model again: a Qwen3 classifier of 7,000 random weights, with the tiny tokenizer."""

import shutil
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

MODELS = Path(__file__).resolve().parents[1] / "expctl" / "models"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def main() -> None:
    """Write `expctl/models/tiny_reward`."""
    config = AutoConfig.from_pretrained(MODELS / "tiny")
    config.update({"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "max_window_layers": 1})
    config.update({"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "num_labels": 1})
    config.layer_types = ["full_attention"]
    set_seed(0)
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        model.score.weight.normal_(0, 0.5)  # else all texts have nearly the same score
    model.save_pretrained(MODELS / "tiny_reward")
    for name in TOKENIZER:
        shutil.copy(MODELS / "tiny" / name, MODELS / "tiny_reward" / name)


if __name__ == "__main__":
    main()
