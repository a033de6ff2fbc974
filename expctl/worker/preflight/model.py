"""The model of a training, without its weights where it is large."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, GenerationConfig, PreTrainedModel

from expctl import models
from expctl.models.loading import DTYPES, class_for, fit_together, processing_class
from expctl.models.seeing import text_tokenizer
from expctl.worker.preflight.problem import ProblemError

# Bytes of weights up to which a model is loaded: it is loaded and trained in well under a second.
SMALL = 32 << 20
LFS_POINTER = b"version https://git-lfs"


def model_and_tokenizer(node: dict[str, Any]) -> tuple[PreTrainedModel, Any]:
    """The model of a config node and its tokenizer; a large model without weights, on the meta device.

    Raises:
        ProblemError: a file does not hold weights, or the tokenizer has tokens that the model does not have.
        Exception: any error of the libraries.
    """
    location = models.resolve(node["path"], revision=node.get("revision") or "main")
    files = [] if location.kind == "hub" else list(_weights(Path(location.source)))
    for file in files:
        _check_weights(file)
    if location.kind != "hub" and sum(file.stat().st_size for file in files) <= SMALL:
        model, tokenizer = models.load(**node)
    else:
        model, tokenizer = without_weights(**node)
    check_vocabulary(model, text_tokenizer(tokenizer), node["path"])
    return model, tokenizer


def without_weights(
    path: str,
    *,
    dtype: str = "float32",
    attn_implementation: str | None = None,
    task_type: str = "CAUSAL_LM",
    **kwargs: Any,
) -> tuple[PreTrainedModel, Any]:
    """As `expctl.models.load`, on the meta device."""
    location = models.resolve(path, revision=kwargs.get("revision") or "main")
    if location.kind != "hub":
        kwargs = {key: value for key, value in kwargs.items() if key != "revision"}
    if dtype not in DTYPES:
        raise ProblemError(f"the dtype '{dtype}' is unknown", "model.dtype", f"one of {', '.join(DTYPES)}")
    kwargs = {"trust_remote_code": False} | kwargs
    model_class, options = class_for(location, task_type, kwargs)
    config = AutoConfig.from_pretrained(location.source, **options, **kwargs)
    with torch.device("meta"):
        model = model_class.from_config(
            config,
            dtype=DTYPES[dtype],
            attn_implementation=attn_implementation,
            trust_remote_code=kwargs["trust_remote_code"],
        )
    samples = getattr(model, "generation_config", None) is not None
    if samples and location.kind != "hub" and (Path(location.source) / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(location.source)
    return model, fit_together(model, processing_class(location, model_class, kwargs), path)


def is_whole(model: PreTrainedModel) -> bool:
    """Whether the model has its weights, and so can be trained."""
    return next(model.parameters()).device.type != "meta"


def check_vocabulary(model: PreTrainedModel, tokenizer: Any, path: str) -> None:
    """Raise ProblemError where a token of the tokenizer has no row in the embedding, or none ends a completion."""
    rows = embedding_rows(model)
    vocabulary = tokenizer.get_vocab()
    if len(vocabulary) <= len(tokenizer.all_special_tokens):
        raise ProblemError(
            f"{path} holds no tokenizer: what is made without its files knows {len(vocabulary)} tokens",
            "model.path",
            "save it beside the model: tokenizer.save_pretrained(folder)",
        )
    highest = max(vocabulary.values())
    if highest >= rows:
        raise ProblemError(
            f"the tokenizer of {path} has a token of id {highest}, and the model's embedding has {rows} rows",
            "model.path",
            "give the tokenizer that the model was trained with, or resize the model's embedding "
            "(model.resize_token_embeddings) and save it",
        )
    if tokenizer.eos_token_id is None:
        raise ProblemError(
            f"the tokenizer of {path} has no end token (eos), so no completion could end",
            "model.path",
            "set eos_token in its tokenizer_config.json",
        )


def embedding_rows(model: PreTrainedModel) -> int:
    """Rows of the input embedding."""
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.shape[0]


def positions(model: PreTrainedModel) -> int | None:
    """The longest sequence in tokens that the model has positions for, where it says so."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _weights(folder: Path) -> Iterator[Path]:
    for ending in ("*.safetensors", "pytorch_model*.bin"):
        yield from sorted(folder.glob(ending))


def _check_weights(file: Path) -> None:
    """Raise ProblemError where a file of weights is a Git LFS pointer, cut off, or of another format."""
    with file.open("rb") as opened:
        beginning = opened.read(len(LFS_POINTER))
    if beginning == LFS_POINTER:
        raise ProblemError(
            f"{file} holds a Git LFS pointer in place of weights ({file.stat().st_size} bytes)",
            "model.path",
            f"fetch them: git lfs pull in {file.parent}, or hf download",
        )
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ProblemError(
                f"the weights in {file} cannot be read: {error}", "model.path", "copy or save the file again, whole"
            ) from error
