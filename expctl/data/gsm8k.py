"""GSM8K: 7473 grade-school word problems to train on and 1319 to test on (Cobbe et al., arXiv 2110.14168)."""

import re
from typing import Any

import datasets
from datasets import Dataset

from expctl.base.data_kinds import PROMPT_COMPLETION, PROMPT_ONLY, current_kind
from expctl.data.columns import check_kind
from expctl.data.files import read_file
from expctl.data.gsm8k_location import HUB_ID, SPLITS, find, split_file
from expctl.data.split import hold_out
from expctl.data.turns import Turn, system_turns

KINDS = (PROMPT_ONLY, PROMPT_COMPLETION)
_COLUMNS = ("question", "answer")
_CALCULATOR = re.compile(r"<<.*?>>")  # annotations such as <<48/2=24>>, meant for a calculator


def load(
    *,
    kind: str,
    seed: int,
    path: str = HUB_ID,
    train_size: int | None = None,
    eval_size: int | None = 128,
    instruction: str = "Think step by step, and end with #### and the number.",
    system_prompt: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Load GSM8K as conversational prompts.

    Args:
        kind: "prompt-only" (columns `prompt`, `answer`: the number as written) or "prompt-completion" (`prompt`,
            `completion`).
        seed: chooses the rows where fewer than all are asked for.
        path: hub id, a folder with files that begin with `train` and `test`, or one file (rows of it are held out).
        train_size: number of training rows; None is all of them.
        eval_size: number of rows to evaluate on; None is all of the test set.
        instruction: stands below each question and says in which form the answer is expected.
        system_prompt: the turn of the system that begins each conversation; None for none.

    Raises:
        FileNotFoundError: neither on this machine nor on a hub that can be reached.
        ValueError: an unsupported kind, or files that are not GSM8K's.
    """
    kind = current_kind(kind)
    check_kind(kind, "gsm8k", KINDS)
    train, test = _splits(path, eval_size, seed)
    return (
        _format(_subset(train, train_size, seed), kind, instruction, system_turns(system_prompt)),
        _format(_subset(test, eval_size, seed), kind, instruction, system_turns(system_prompt)),
    )


def _splits(path: str, eval_size: int | None, seed: int) -> tuple[Dataset, Dataset]:
    location = find(path)
    if location is None:
        both = datasets.load_dataset(path, "main")
        return both["train"], both["test"]
    if location.is_file():
        table = _checked(read_file(location, key="dataset.path"), path)
        return hold_out(table, eval_size, seed, where=f"dataset.path={path}", prompt="question")
    train, test = (_checked(read_file(split_file(location, name), key="dataset.path"), path) for name in SPLITS)
    return train, test


def _checked(table: Dataset, path: str) -> Dataset:
    """Return the table. Raise ValueError where it is not GSM8K's, or has a row without a text."""
    if not set(_COLUMNS) <= set(table.column_names):
        raise ValueError(
            f"dataset.path={path} is not GSM8K: it has the columns {', '.join(table.column_names)}, and not "
            "'question' and 'answer'. For other data use dataset=files."
        )
    for name in _COLUMNS:
        for number, cell in enumerate(table[name], 1):
            if not isinstance(cell, str) or not cell.strip():
                raise ValueError(f"dataset.path={path}: column '{name}' holds no text in row {number}: {cell!r:.60}")
    return table


def _subset(table: Dataset, size: int | None, seed: int) -> Dataset:
    if size is None or size >= len(table):
        return table
    return table.shuffle(seed=seed).select(range(size))


def _format(table: Dataset, kind: str, instruction: str, system: list[Turn]) -> Dataset:
    def convert(row: dict[str, Any]) -> dict[str, Any]:
        prompt = [*system, {"role": "user", "content": f"{row['question']}\n{instruction}".strip()}]
        if kind == PROMPT_COMPLETION:
            solution = _CALCULATOR.sub("", row["answer"])
            return {"prompt": prompt, "completion": [{"role": "assistant", "content": solution}]}
        return {"prompt": prompt, "answer": row["answer"].rpartition("####")[2].strip()}

    return table.map(convert, remove_columns=table.column_names, keep_in_memory=True)
