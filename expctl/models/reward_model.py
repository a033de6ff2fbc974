"""Reward models: sequence classifiers with one label, which score a prompt with its completion."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase

from expctl.models.loading import DTYPES
from expctl.models.locations import resolve
from expctl.models.reward_head import KEY, check_head

logger = logging.getLogger(__name__)

Turns = list[dict[str, Any]]
Text = str | Turns


def load(
    path: str,
    *,
    dtype: str = "float32",
    device: str | None = None,
    batch_size: int = 16,
    revision: str = "main",
    has_weights: bool = True,
) -> "RewardModel":
    """Find a reward model and load its tokenizer; its weights are loaded when it first scores.

    Args:
        path: `embedded:<name>`, a folder, or a hub id (see `expctl.models.resolve`).
        dtype: of the weights: "float32", "bfloat16", "float16", or "auto" for the one that they were saved in.
        device: where it computes, e.g. "cuda:7"; None for the device of this process.
        batch_size: rows of a forward pass.
        revision: branch, tag or commit of a hub id.
        has_weights: False scores 0.0 without weights: all else is as it will be.

    Raises:
        FileNotFoundError, ValueError: from `resolve` and `check_head`; ValueError also for an unknown dtype and a
            tokenizer that can neither pad nor end.
    """
    if dtype not in DTYPES:
        raise ValueError(f"{KEY}.dtype={dtype}: unknown; one of {', '.join(DTYPES)}.")
    location = resolve(path, revision=revision)
    options: dict[str, Any] = {"trust_remote_code": False}
    if location.kind == "hub":
        options["revision"] = revision
    config = AutoConfig.from_pretrained(location.source, **options)
    check_head(path, config.to_dict() | {"num_labels": config.num_labels})
    tokenizer = AutoTokenizer.from_pretrained(location.source, **options)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ValueError(f"{KEY}.path={path}: its tokenizer has neither a pad nor an end token; set one in it.")
        tokenizer.pad_token = tokenizer.eos_token
    weights = (location.source, options | {"dtype": DTYPES[dtype]}) if has_weights else None
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return RewardModel(path, tokenizer, weights, device=device, batch_size=batch_size, longest=longest)


def is_small(path: str, revision: str, most: int) -> bool:
    """Whether the weights of a model are here and have at most `most` bytes."""
    location = resolve(path, revision=revision)
    if location.kind == "hub":
        return False
    return sum(file.stat().st_size for file in Path(location.source).glob("*.safetensors")) <= most


class RewardModel:
    """Scores prompts with their completions, as TRL's trainers do with a reward model that they are given.

    A conversation is rendered with the model's own chat template; texts are joined. Nothing is cut off.

    Args:
        path: what it is called in messages.
        tokenizer: with a pad token.
        weights: source and options of `from_pretrained`; None scores 0.0.
        device: where it computes; None for the device of this process.
        batch_size: rows of a forward pass.
        longest: tokens that the model has positions for; None where it does not say.
    """

    def __init__(
        self,
        path: str,
        tokenizer: PreTrainedTokenizerBase,
        weights: tuple[str, dict[str, Any]] | None,
        *,
        device: str | None,
        batch_size: int,
        longest: int | None,
    ) -> None:
        self._path = path
        self._tokenizer = tokenizer
        self._weights = weights
        self._device = device
        self._batch_size = batch_size
        self._longest = longest
        self._model: Any = None

    def scores(self, prompts: Sequence[Text], completions: Sequence[Text]) -> list[float]:
        """One score a pair of prompt and completion; NaN where both are longer than the model has positions for.

        Raises:
            ValueError: conversations, and the model's tokenizer has no chat template.
        """
        texts = [self._rendered(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
        ids = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        scored = [math.nan] * len(texts)
        fitting = [row for row, tokens in enumerate(ids) if self._longest is None or len(tokens) <= self._longest]
        # By length, so that little of a batch is padding.
        fitting.sort(key=lambda row: len(ids[row]))
        for start in range(0, len(fitting), self._batch_size):
            rows = fitting[start : start + self._batch_size]
            for row, score in zip(rows, self._forward([ids[row] for row in rows]), strict=True):
                scored[row] = score
        return scored

    def _rendered(self, prompt: Text, completion: Text) -> str:
        if isinstance(prompt, str):
            return prompt + (completion if isinstance(completion, str) else str(completion[-1].get("content") or ""))
        if not self._tokenizer.chat_template:
            raise ValueError(
                f"{KEY}.path={self._path}: its tokenizer has no chat template, and the prompts are conversations; "
                "save the template that it was trained with beside the model"
            )
        turns = [{"role": "assistant", "content": completion}] if isinstance(completion, str) else completion
        return str(self._tokenizer.apply_chat_template([*prompt, *turns], tokenize=False))

    def _forward(self, ids: list[list[int]]) -> list[float]:
        """Scores of sequences of token ids. An empty one has the pad token."""
        if self._weights is None:
            return [0.0] * len(ids)
        model = self._loaded()
        batch = self._tokenizer.pad(
            {"input_ids": [tokens or [self._tokenizer.pad_token_id] for tokens in ids]},
            padding_side="right",
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = model(**batch.to(model.device)).logits[:, 0]  # (B,)
        return [float(score) for score in logits.float().cpu()]

    def _loaded(self) -> Any:
        if self._model is None:
            assert self._weights is not None
            source, options = self._weights
            model = AutoModelForSequenceClassification.from_pretrained(source, **options)
            model.config.get_text_config().pad_token_id = self._tokenizer.pad_token_id
            self._model = model.eval().requires_grad_(False).to(self._device or own_device())
            logger.info("reward model %s on %s", self._path, self._model.device)
        return self._model


def own_device() -> str:
    """The device of this process: its GPU by the launcher's LOCAL_RANK, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
