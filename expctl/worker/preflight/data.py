"""Checks of the first rows of the data: their columns, the chat template, the tokenizer."""

import itertools
from typing import Any

from datasets import Dataset, IterableDataset

from expctl.base.data_kinds import (
    COLUMNS,
    MESSAGES,
    PREFERENCE,
    PRIVILEGED,
    PROMPT_ONLY,
    STEPWISE,
    TEXT,
    TRIPLE_PREFERENCE,
    UNPAIRED_PREFERENCE,
)
from expctl.worker.preflight.problem import ProblemError, error_text

TEXTS = ("prompt", "completion", "chosen", "rejected", "messages", "text")
# Rows that are rendered and tokenized.
CHECKED_ROWS = 4
LONGEST_TEXT = 80


def head(dataset: Any, rows: int) -> Any:
    """The first rows of a dataset, or of each of several; an object of another class as it is."""
    if isinstance(dataset, dict):
        return {name: head(part, rows) for name, part in dataset.items()}
    if isinstance(dataset, Dataset):
        return dataset.select(range(min(rows, len(dataset))))
    if isinstance(dataset, IterableDataset):
        return dataset.take(rows)
    return dataset


def first_rows(dataset: Any, count: int = CHECKED_ROWS) -> list[dict[str, Any]]:
    """The first rows as dicts. Raise ProblemError where there is none."""
    if isinstance(dataset, dict):
        dataset = next(iter(dataset.values()), [])
    rows = list(itertools.islice(iter(dataset), count))
    if not rows:
        raise ProblemError("the training data have no row", "dataset", "look at the loader's filters and sizes")
    if not isinstance(rows[0], dict):
        raise ProblemError(
            f"a row of the training data is a {type(rows[0]).__name__}, not a dict of columns", "dataset"
        )
    return rows


# What every trainer of a kind reads. Supervised trainers take other columns than prompt and completion as well.
_NEEDED = {
    PROMPT_ONLY: COLUMNS[PROMPT_ONLY],
    PREFERENCE: ("chosen", "rejected"),
    UNPAIRED_PREFERENCE: ("completion", "label"),
    TRIPLE_PREFERENCE: ("chosen", "rejected", "reference"),
    **{kind: COLUMNS[kind] for kind in (STEPWISE, MESSAGES, TEXT, PRIVILEGED)},
}


def check_kind(columns: list[str], kind: str) -> None:
    """Raise ProblemError where a column that every trainer of this kind reads is missing."""
    needed = _NEEDED.get(kind, ())
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ProblemError(
            f"the training data have no column '{missing[0]}'; their columns are {', '.join(columns)}",
            "dataset",
            f"algorithm.kind={kind} needs {' and '.join(needed)}; rename them in the loader, or with "
            f"dataset.columns.{missing[0]}=<yours> of dataset=files",
        )


def check_tokens(rows: list[dict[str, Any]], tokenizer: Any, embedded: int, path: str) -> None:
    """Render and tokenize rows.

    Args:
        rows: with any of the columns `TEXTS`.
        tokenizer: of the model.
        embedded: rows of the model's embedding.
        path: of the model, for the message.

    Raises:
        ProblemError: the template refuses a row, or a token of it has no row in the embedding.
    """
    for number, row in enumerate(rows, 1):
        for name in TEXTS:
            if name in row and row[name]:
                text = _as_text(row[name], name, number, tokenizer)
                ids = tokenizer(text, add_special_tokens=False)["input_ids"]
                if ids and max(ids) >= embedded:
                    raise ProblemError(
                        f"column '{name}' of row {number} becomes token {max(ids)}, and the embedding of {path} has "
                        f"{embedded} rows",
                        "model.path",
                        "give the tokenizer that the model was trained with",
                    )


def check_thinking(tokenizer: Any, thinking: bool | None, path: str) -> None:
    """Raise ProblemError where `model.thinking` is set and no chat template of the tokenizer reads it."""
    templates = tokenizer.chat_template
    texts = templates.values() if isinstance(templates, dict) else [templates or ""]
    if thinking is not None and not any("enable_thinking" in text for text in texts):
        raise ProblemError(
            f"model.thinking={str(thinking).lower()}, and the chat template of {path} has no switch 'enable_thinking'",
            "model.thinking",
            "model.thinking=null: the model writes as its template has it",
        )


def check_lengths(dataset: Any, tokenizer: Any, positions: int | None, completion: int, path: str) -> None:
    """Check that the longest prompts, with a completion, fit into the model's positions.

    Args:
        dataset: whose column `prompt` is checked.
        tokenizer: of the model.
        positions: of the model; None where it states none.
        completion: tokens of a completion at most.
        path: of the model, for the message.

    Raises:
        ProblemError: a prompt and its completion have more tokens than the model has positions.
    """
    # Only the longest texts are tokenized: a token is one character at least, but for those of bytes.
    if positions is None or not isinstance(dataset, Dataset) or "prompt" not in dataset.column_names:
        return
    prompts = dataset["prompt"]
    lengths = [(_characters(prompt), number) for number, prompt in enumerate(prompts)]
    for characters, number in sorted(lengths, reverse=True)[:CHECKED_ROWS]:
        if characters * 4 + completion <= positions:
            return
        text = _as_text(prompts[number], "prompt", number + 1, tokenizer)
        tokens = len(tokenizer(text)["input_ids"])
        if tokens + completion > positions:
            raise ProblemError(
                f"the prompt of row {number + 1} has {tokens} tokens, with a completion of {completion} more than the "
                f"{positions} positions of {path}: {shortened(text)}",
                "args.max_completion_length",
                "take long prompts out, shorten the completions, or choose a model with more positions",
            )


def _characters(prompt: Any) -> int:
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(str(message.get("content") or "")) for message in prompt or ())


def _as_text(value: Any, name: str, row: int, tokenizer: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise ProblemError(
            f"column '{name}' of row {row} holds {type(value).__name__}: {shortened(repr(value))}",
            "dataset",
            'it must hold texts, or conversations such as [{"role": "user", "content": "..."}]',
        )
    try:
        text: str = tokenizer.apply_chat_template(value, tokenize=False, add_generation_prompt=name == "prompt")
    except Exception as error:
        roles = ", ".join(str(turn.get("role")) for turn in value)
        raise ProblemError(
            f"the chat template of the model refuses column '{name}' of row {row}: {error_text(error)}",
            "model.path",
            f"its roles are {roles}; change the conversation, or the chat_template of the model's folder",
        ) from error
    return text


def shortened(text: str) -> str:
    """The repr of the beginning of a text, in one line."""
    text = " ".join(text.split())
    return repr(text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "...")
