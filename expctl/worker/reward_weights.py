"""Weights of the reward functions, which may change over the steps of a training."""

from collections.abc import Sequence
from functools import wraps
from typing import Any

from transformers import Trainer

Schedule = Sequence[Sequence[float]]  # pairs of a step and the weight at it


def final_weights(reward: dict[str, Any]) -> list[float]:
    """The weight of each function at the end of its schedule, in their order; 1.0 where none is set."""
    weights = reward["weights"] or {}
    return [weight_at(weights.get(name, 1.0), float("inf")) for name in reward["functions"]]


def weight_at(weight: float | Schedule, step: float) -> float:
    """The weight at a step: a number is one for all; between two pairs of a schedule it is on the line through them."""
    if not isinstance(weight, Sequence):
        return float(weight)
    before = [pair for pair in weight if pair[0] <= step]
    after = [pair for pair in weight if pair[0] > step]
    if not before or not after:
        return float(before[-1][1] if before else weight[0][1])
    (start, left), (end, right) = before[-1], after[0]
    return left + (right - left) * (step - start) / (end - start)


def schedule_weights(trainer: Trainer, reward: dict[str, Any]) -> None:
    """Have the trainer weigh completions of a training with the weights of its step, where any follows a schedule.

    Evaluations always have the weights at the end of the schedules, so that they can be compared with each other. A
    step's weights follow from its number alone, so a resumed training has those of one that was never stopped.

    Raises:
        ValueError: a schedule for a trainer without weights.
    """
    weights = reward["weights"] or {}
    scheduled = {name: weight for name, weight in weights.items() if isinstance(weight, Sequence)}
    score = getattr(trainer, "_calculate_rewards", None)
    if not scheduled or score is None:
        return
    online: Any = trainer  # one of TRL's, whose weights and metrics transformers' Trainer does not declare
    if not hasattr(online, "reward_weights"):
        raise ValueError(f"reward.weights: {type(trainer).__name__} has no weights that could follow a schedule")
    at_the_end = online.reward_weights.clone()
    names = list(reward["functions"])

    @wraps(score)  # the preflight asks what the method takes
    def score_with_weights(*args: Any, **kwargs: Any) -> Any:
        online.reward_weights = at_the_end.clone()
        if online.model.training:
            for name, schedule in scheduled.items():
                weight = weight_at(schedule, online.state.global_step)
                online.reward_weights[names.index(name)] = weight
                if hasattr(online, "_log_metric"):
                    online._log_metric(f"rewards/{name}/weight", weight)
        return score(*args, **kwargs)

    online._calculate_rewards = score_with_weights
