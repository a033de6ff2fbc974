"""Runs the reward functions on a group of plausible completions."""

from typing import Any


def reward_a_group(trainer: Any) -> None:
    """Have the trainer reward one group of completions of the first row, as it does in training.

    Args:
        trainer: of TRL, with reward functions.

    Raises:
        Exception: any error of a reward function, or of the trainer over its values.
    """
    row = dict(next(iter(trainer.train_dataset)))
    group = getattr(trainer, "num_generations", None) or 2
    text = plausible_completion(row)
    completion = [{"role": "assistant", "content": text}] if isinstance(row["prompt"], list) else text
    ids = trainer.processing_class(text=text, add_special_tokens=False)["input_ids"]
    eos = trainer.processing_class.eos_token_id
    if eos is not None:
        ids = [*ids, eos]  # a truncated completion might not be looked into
    trainer._calculate_rewards(
        [dict(row) for _ in range(group)],
        [row["prompt"]] * group,
        [completion] * group,
        [list(ids) for _ in range(group)],
    )


def plausible_completion(row: dict[str, Any]) -> str:
    """A text that a model might write for a row."""
    answer = str(row.get("answer") or row.get("solution") or "1").strip()[-40:]
    return f"The answer is {answer}. #### {answer}"
