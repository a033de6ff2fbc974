"""The reward functions on a group of plausible completions."""

from typing import Any

from transformers import Trainer


def reward_a_group(trainer: Trainer) -> None:
    """Have the trainer reward one group of completions of the first row, as it does in training.

    Raises:
        Exception: whatever a reward function raises, or the trainer of what came back.
    """
    row = dict(next(iter(trainer.train_dataset)))
    group = getattr(trainer, "num_generations", None) or 2
    text = plausible(row)
    completion = [{"role": "assistant", "content": text}] if isinstance(row["prompt"], list) else text
    ids = trainer.processing_class(text=text, add_special_tokens=False)["input_ids"]
    end = trainer.processing_class.eos_token_id
    ids = ids if end is None else [*ids, end]  # what is not cut off is looked into
    trainer._calculate_rewards(
        [dict(row) for _ in range(group)],
        [row["prompt"]] * group,
        [completion] * group,
        [list(ids) for _ in range(group)],
    )


def plausible(row: dict[str, Any]) -> str:
    """A text that a model might write for a row."""
    answer = str(row.get("answer") or row.get("solution") or "1").strip()[-40:]
    return f"The answer is {answer}. #### {answer}"
