"""Keeps the random states with which the last evaluation of a training began, so that `expctl eval` can repeat it."""

from typing import Any

import torch
from transformers import Trainer

from expctl.algorithms.random_states import random_states
from expctl.runs.files import Run


class RandomStates:
    """Notes the random states at the beginning of each evaluation of a trainer that samples completions.

    Only of a training on one process: several have as many states, and an evaluation need not have as many processes.

    Args:
        trainer: whose `evaluate` is replaced by one that notes them and then does the same.
    """

    def __init__(self, trainer: Trainer):
        self._states: dict[str, Any] | None = None
        self._depth = 0
        self._evaluate = trainer.evaluate
        if hasattr(trainer, "reward_funcs") and trainer.args.world_size == 1:
            trainer.evaluate = self._noting  # type: ignore[method-assign] # no event says that an evaluation begins

    def save(self, run: Run) -> None:
        """Write them into the run's folder; nothing where no evaluation was noted."""
        if self._states is not None:
            torch.save(self._states, run.random_states)

    def _noting(self, *args: Any, **keywords: Any) -> dict[str, float]:
        if self._depth == 0:  # a set of several is evaluated by a call of its own
            self._states = random_states()
        self._depth += 1
        try:
            return self._evaluate(*args, **keywords)
        finally:
            self._depth -= 1
