"""Completions of texts by transformers' `generate`, each as far as the token that ends it."""

from collections.abc import Sequence
from typing import Any

import torch

from expctl.worker.rewards import eos_tokens


@torch.no_grad()
def generate(
    model: Any, tokenizer: Any, texts: Sequence[str], sampling: dict[str, Any], *, special_tokens: bool
) -> tuple[list[list[int]], list[bool]]:
    """One completion of each text, sampled in one batch.

    Args:
        model: in the mode for evaluation.
        tokenizer: its own.
        texts: what is completed.
        sampling: keywords of `generate`.
        special_tokens: whether the tokenizer adds its own; a chat template has them already.

    Returns:
        Token ids of each completion with its end token, and whether each has one.
    """
    inputs = tokenizer(
        text=list(texts), return_tensors="pt", padding=True, padding_side="left", add_special_tokens=special_tokens
    ).to(model.device)
    ends = eos_tokens(model, tokenizer)
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": ends or None}
    generated = model.generate(**inputs, **sampling, **special)[:, inputs["input_ids"].shape[1] :]
    is_end = torch.isin(generated, torch.tensor(ends, device=generated.device)).int()
    lengths = torch.where(is_end.any(1), is_end.argmax(1) + 1, generated.shape[1]).tolist()
    ids = [row[:length] for row, length in zip(generated.tolist(), lengths, strict=True)]
    return ids, is_end.any(1).tolist()
