"""Whether what is evaluated is also trained on: then an evaluation measures memory, and no held-out accuracy."""

from itertools import islice
from typing import Any

from datasets import Dataset

from expctl.data.held_out import prompt_text_of
from expctl.runs.records import Alert

# Of a larger training set the first rows are looked at: a set that leaks leaks everywhere.
MOST_ROWS = 500_000


def leaks(train: Any, evaluation: Any) -> list[Alert]:
    """An alert that says how many held-out prompts are also trained on; none where no prompt is."""
    sets = (train, evaluation)
    if not all(isinstance(part, Dataset) and "prompt" in part.column_names for part in sets):
        return []
    held_out = {prompt_text_of(prompt) for prompt in evaluation["prompt"]}
    trained = {text for text in map(prompt_text_of, islice(train["prompt"], MOST_ROWS)) if text in held_out}
    if not trained:
        return []
    share = f"{len(trained)} of the {len(held_out)} held-out prompts"
    return [
        Alert(
            kind="leak",
            step=0,
            last_step=0,
            steps=0,
            text=f"{share} are also trained on, so an evaluation measures memory as well",
            do="give other rows as dataset.eval_path, or leave it out: rows are then held out by whole prompts",
        )
    ]
