"""Load a causal language model and its tokenizer, ready for training and for generation."""

import logging
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from expctl.models.locations import resolve

logger = logging.getLogger(__name__)

DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(
    path: str, *, dtype: str = "float32", attn_implementation: str | None = None, **kwargs: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer.

    Args:
        path: `embedded:<name>`, a folder, or a hub id (see `expctl.models.resolve`). An adapter of PEFT is merged into
            its base model.
        dtype: of the weights: "float32", "bfloat16", "float16", or "auto" for the one that they were saved in.
        attn_implementation: transformers' name of an attention, e.g. "sdpa"; None lets transformers choose.
        **kwargs: to `from_pretrained` of both, e.g. `revision` or `trust_remote_code`.

    Returns:
        The model in training precision on the CPU, and a tokenizer that has a pad token and pads on the left, so that
        the last position of every prompt in a batch is its last token.

    Raises:
        FileNotFoundError, ValueError: from `resolve`; ValueError also for an unknown dtype or a tokenizer that can
            neither pad nor end.
    """
    if dtype not in DTYPES:
        raise ValueError(f"model.dtype={dtype}: unknown; one of {', '.join(DTYPES)}.")
    location = resolve(path, revision=kwargs.get("revision") or "main")
    if location.kind != "hub":
        kwargs = {key: value for key, value in kwargs.items() if key != "revision"}
    # transformers would ask, and wait for an answer.
    kwargs = {"trust_remote_code": False} | kwargs
    model = AutoModelForCausalLM.from_pretrained(
        location.source, dtype=DTYPES[dtype], attn_implementation=attn_implementation, **kwargs
    )
    if getattr(model, "quantization_method", None) is not None and not kwargs.get("quantization_config"):
        raise ValueError(
            f"model.path={path} holds quantized weights ({model.quantization_method}): train a plain model."
        )
    if location.adapter:
        model = PeftModel.from_pretrained(model, location.adapter).merge_and_unload()
        model.requires_grad_(True)  # an adapter freezes what it is laid over
    return model, fit_together(model, AutoTokenizer.from_pretrained(location.source, **kwargs), path)


def fit_together(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: str) -> PreTrainedTokenizerBase:
    """Give the tokenizer a pad token and the left side to pad on, and the model the same pad token.

    Raises:
        ValueError: a tokenizer that can neither pad nor end.
    """
    _give_pad_token(tokenizer, path)
    tokenizer.padding_side = "left"
    model.config.pad_token_id = tokenizer.pad_token_id
    if model.generation_config is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    return tokenizer


def _give_pad_token(tokenizer: PreTrainedTokenizerBase, path: str) -> None:
    """Pad with the end token where the tokenizer has no pad token: a new token would need a larger embedding."""
    if tokenizer.pad_token is not None:
        return
    if tokenizer.eos_token is None:
        raise ValueError(f"model.path={path}: its tokenizer has neither a pad nor an end (eos) token; set one in it.")
    logger.info("%s has no pad token: padding with %r", path, tokenizer.eos_token)
    tokenizer.pad_token = tokenizer.eos_token
