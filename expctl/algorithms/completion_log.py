"""TRL's log of sampled completions: the deques `_logs` of its online trainers, which are private to TRL."""

from collections.abc import Sequence
from typing import Any, TypedDict

from transformers import Trainer

# The column of the log that says how each completion ended, where the reward functions are told of it.
ENDING = "ending"
ENDED, CUT_OFF, REASONING_OPEN = "ended", "cut off", "reasoning not closed"


class LoggedCompletion(TypedDict):
    """One row of the log; a reward is None or NaN where its function gave none, the ending None where unknown."""

    prompt: Any
    completion: Any
    rewards: dict[str, float | None]
    ending: str | None


def logged_completions(trainer: Trainer) -> list[LoggedCompletion]:
    """The completions of the last batches, the latest last; none where the trainer keeps no such log."""
    logs = getattr(trainer, "_logs", None)
    if not isinstance(logs, dict) or not {"prompt", "completion", "rewards"} <= logs.keys():
        return []
    prompts, completions = list(logs["prompt"]), list(logs["completion"])
    # Values of another number belong to other rows.
    rewards = {name: list(values) for name, values in logs["rewards"].items() if len(values) == len(prompts)}
    endings = list(logs.get("extra", {}).get(ENDING, ()))
    if len(endings) != len(prompts):
        endings = [None] * len(prompts)
    rows: list[LoggedCompletion] = []
    for index, (prompt, completion) in enumerate(zip(prompts, completions, strict=False)):
        values = {name: column[index] for name, column in rewards.items()}
        rows.append({"prompt": prompt, "completion": completion, "rewards": values, "ending": endings[index]})
    return rows


def set_logged_completions(trainer: Trainer, rows: Sequence[LoggedCompletion], names: Sequence[str]) -> None:
    """Give a trainer that samples nothing itself the log of completions that a callback has sampled.

    Args:
        trainer: of TRL or transformers.
        rows: replace the log.
        names: of the reward functions.
    """
    logs = {
        "prompt": [row["prompt"] for row in rows],
        "completion": [row["completion"] for row in rows],
        "rewards": {name: [row["rewards"][name] for row in rows] for name in names},
        "extra": {ENDING: [row["ending"] for row in rows]},
    }
    setattr(trainer, "_logs", logs)  # noqa: B010 - an attribute that transformers' Trainer does not declare


def replace_last_rewards(trainer: Any, name: str, rewards: Sequence[float]) -> None:
    """Replace the last `len(rewards)` rewards that the function `name` has in the log."""
    logged = trainer._logs["rewards"][name]
    for _ in rewards:
        logged.pop()
    logged.extend(rewards)
