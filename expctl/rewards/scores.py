"""The reward that a reward model gives: its score of the prompt with the completion."""

from collections.abc import Sequence
from typing import Any, Protocol

from expctl.rewards.completions import Completion


class Scorer(Protocol):
    """What scores texts, as `expctl.models.reward_model.RewardModel` does."""

    def scores(self, prompts: Sequence[Completion], completions: Sequence[Completion]) -> list[float]:
        """One score a pair of prompt and completion; NaN where it has none."""


class ModelScore:
    """The score of a reward model, as it is: no scale, and not 0 for a completion that was cut off.

    Args:
        model: scores prompts and completions (config group `reward_model`).
    """

    def __init__(self, model: Scorer) -> None:
        self._model = model

    def __call__(self, prompts: Sequence[Completion], completions: Sequence[Completion], **columns: Any) -> list[float]:
        """One score a completion; NaN, which counts as missing, where the text is longer than the model can read."""
        return self._model.scores(prompts, completions)
