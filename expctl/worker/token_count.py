"""Counts the tokens of a training whose trainer does not, so that methods are compared at the same number of them."""

from functools import wraps
from typing import Any

import torch
from transformers import Trainer

NAME = "num_tokens"


def count_tokens(trainer: Trainer) -> None:
    """Have `num_tokens` in what the trainer logs of its steps, where TRL's trainer of the method does not log it.

    Counted are the tokens that the model was trained on since the first step: of prompts and completions, without
    padding, each time that they pass it with gradients. They are those of this rank times the number of ranks. A
    checkpoint has the count, as part of the trainer's state.
    """
    if _counts_tokens(trainer):
        return
    ranks = trainer.args.world_size

    def count(model: torch.nn.Module, positional: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if model.training and torch.is_grad_enabled():
            trainer.state.num_input_tokens_seen += ranks * _tokens(positional, keywords)

    model: Any = trainer.model
    model.register_forward_pre_hook(count, with_kwargs=True)
    log = trainer.log

    @wraps(log)
    def log_with_tokens(logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            logs = logs | {NAME: float(trainer.state.num_input_tokens_seen)}
        log(logs, *args, **kwargs)

    trainer.log = log_with_tokens  # type: ignore[method-assign] # transformers has no hook before trackers


def _counts_tokens(trainer: Trainer) -> bool:
    """Whether a method that the trainer has, and that none below it replaces, names the metric."""
    methods: list[Any] = [getattr(type(trainer), name, None) for name in dir(type(trainer))]
    return any(NAME in method.__code__.co_consts for method in methods if hasattr(method, "__code__"))


def _tokens(positional: tuple[Any, ...], keywords: dict[str, Any]) -> int:
    """The tokens that a model is given, without padding where there is a mask."""
    ids = keywords.get("input_ids", positional[0] if positional else None)
    mask = keywords.get("attention_mask")
    if isinstance(mask, torch.Tensor) and isinstance(ids, torch.Tensor) and mask.shape == ids.shape:
        return int(mask.sum().item())
    return ids.numel() if isinstance(ids, torch.Tensor) else 0
