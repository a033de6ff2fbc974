"""Load a language model, or one with a head for a score, and its tokenizer, ready for training and for generation."""

import logging
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from expctl.models.locations import Location, resolve
from expctl.models.seeing import sees, text_tokenizer

logger = logging.getLogger(__name__)

DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

# What a model is for, by PEFT's names -> its class, and what that one is made with.
CLASSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "CAUSAL_LM": (AutoModelForCausalLM, {}),
    "SEQ_CLS": (AutoModelForSequenceClassification, {"num_labels": 1}),
}


def load(
    path: str,
    *,
    dtype: str = "float32",
    attn_implementation: str | None = None,
    task_type: str = "CAUSAL_LM",
    **kwargs: Any,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer.

    Args:
        path: `embedded:<name>`, a folder, or a hub id (see `expctl.models.resolve`). Adapters of PEFT are merged into
            their base model.
        dtype: of the weights: "float32", "bfloat16", "float16", or "auto" for the one that they were saved in.
        attn_implementation: transformers' name of an attention, e.g. "sdpa"; None lets transformers choose.
        task_type: key of `CLASSES`. With "SEQ_CLS" a language model gets a new head with one label.
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
    model_class, options = class_for(location, task_type, kwargs)
    model: Any = model_class.from_pretrained(
        location.source, dtype=DTYPES[dtype], attn_implementation=attn_implementation, **options, **kwargs
    )
    if getattr(model, "quantization_method", None) is not None and not kwargs.get("quantization_config"):
        raise ValueError(
            f"model.path={path} holds quantized weights ({model.quantization_method}): train a plain model."
        )
    for adapter in location.adapters:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        model.requires_grad_(True)  # an adapter freezes what it is laid over
    return model, fit_together(model, processing_class(location, model_class, kwargs), path)


def class_for(location: Location, task_type: str, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class of a model and its options: of a language model that sees, the one with the part that does."""
    if task_type == "CAUSAL_LM" and sees(AutoConfig.from_pretrained(location.source, **kwargs).to_dict()):
        return AutoModelForImageTextToText, {}
    return CLASSES[task_type]


def processing_class(location: Location, model_class: Any, kwargs: dict[str, Any]) -> Any:
    """The tokenizer, or of a model that sees the processor of texts and images, both with one chat template."""
    folder = tokenizer_folder(location)
    if model_class is not AutoModelForImageTextToText:
        return AutoTokenizer.from_pretrained(folder, **kwargs)
    processor = AutoProcessor.from_pretrained(folder, **kwargs)
    processor.tokenizer.chat_template = processor.tokenizer.chat_template or processor.chat_template
    return processor


def tokenizer_folder(location: Location) -> str:
    """Where the tokenizer is: with the last adapter that was saved with one, whose template it was trained with."""
    with_tokenizer = [folder for folder in location.adapters if (Path(folder) / "tokenizer_config.json").is_file()]
    return with_tokenizer[-1] if with_tokenizer else location.source


def fit_together(model: PreTrainedModel, processing: Any, path: str) -> Any:
    """Give the tokenizer a pad token and the left side to pad on, and the model the same pad token.

    Args:
        model: with or without weights.
        processing: its tokenizer, or a processor with one.
        path: for messages.

    Raises:
        ValueError: a tokenizer that can neither pad nor end.
    """
    tokenizer = text_tokenizer(processing)
    _give_pad_token(tokenizer, path)
    tokenizer.padding_side = "left"
    model.config.pad_token_id = tokenizer.pad_token_id
    generation_config = getattr(model, "generation_config", None)
    if generation_config is not None:
        generation_config.pad_token_id = tokenizer.pad_token_id
    return processing


def _give_pad_token(tokenizer: PreTrainedTokenizerBase, path: str) -> None:
    """Pad with the end token where the tokenizer has no pad token: a new token would need a larger embedding."""
    if tokenizer.pad_token is not None:
        return
    if tokenizer.eos_token is None:
        raise ValueError(f"model.path={path}: its tokenizer has neither a pad nor an end (eos) token; set one in it.")
    logger.info("%s has no pad token: padding with %r", path, tokenizer.eos_token)
    tokenizer.pad_token = tokenizer.eos_token
