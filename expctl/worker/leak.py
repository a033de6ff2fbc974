"""Train/test leakage: held-out prompts that are also trained on, so that an evaluation measures memorization."""

from itertools import islice
from typing import Any

from datasets import Dataset

from expctl.data.held_out import prompt_text_of
from expctl.data.split import questions
from expctl.runs.records import Alert

# Of a larger training set only the first rows are compared: leaked prompts are seldom all at its end.
MOST_ROWS = 500_000


def leak_alerts(train: Any, evaluation: Any) -> list[Alert]:
    """An alert that says how many held-out prompts are also trained on; none where no prompt is.

    Of several evaluation sets by name each has its own.
    """
    if isinstance(evaluation, dict):
        return [alert for name, part in evaluation.items() for alert in _of_set(train, part, f" of {name}")]
    return _of_set(train, evaluation)


def _of_set(train: Any, evaluation: Any, of: str = "") -> list[Alert]:
    sets = (train, evaluation)
    if not all(isinstance(part, Dataset) and "prompt" in part.column_names for part in sets):
        return []
    held_out = {prompt_text_of(asked) for asked in questions(evaluation)}
    leaked = held_out.intersection(map(prompt_text_of, islice(questions(train), MOST_ROWS)))
    if not leaked:
        return []
    share = f"{len(leaked)} of the {len(held_out)} held-out prompts{of}"
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
