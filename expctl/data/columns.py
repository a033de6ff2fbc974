"""What parent and worker both refuse of a dataset: an unsupported kind, column or task. Torch-free."""

import difflib
from typing import Any

from expctl.base.data_kinds import (
    COLUMNS,
    MESSAGES,
    PREFERENCE,
    PROMPT_COMPLETION,
    TRIPLE_PREFERENCE,
    UNPAIRED_PREFERENCE,
)
from expctl.data.forms import CONVERSATIONS, advice, remedy, spellings, taken
from expctl.data.turns import is_conversation, is_turn


def check_kind(kind: str, dataset: str, supported: tuple[str, ...]) -> None:
    """Raise ValueError where `dataset` has no rows of the kind that the algorithm trains on."""
    if kind not in supported:
        raise ValueError(
            f"dataset {dataset} has no {kind!r}, which the algorithm needs; it has {', '.join(supported)}.\n"
            f"{remedy(kind, supported)}"
        )


def check_task(task: str, names: list[str]) -> None:
    """Raise ValueError where reasoning-gym has no such task."""
    if task not in names:
        nearest = difflib.get_close_matches(task, names, n=3, cutoff=0.4)
        raise ValueError(
            f"dataset.task={task}: reasoning-gym has no such task. Nearest: {', '.join(nearest or names)}."
        )


def sources(
    existing: list[str], first: dict[str, Any], *, kind: str, columns: dict[str, str], where: str
) -> dict[str, str]:
    """TRL's column -> the column of the data that it is made of.

    A missing column is left out where it follows from another: the prompt of preferences, which is what `chosen` and
    `rejected` both begin with, and the completion that a conversation ends in.

    Args:
        existing: names of the columns of the data.
        first: its first row.
        kind: of the rows as they lie, a key of `data_kinds.COLUMNS`.
        columns: TRL's name -> the data's name, for columns that have other names there.
        where: the config key and its value, to begin the message with.

    Raises:
        ValueError: a column that `kind` needs, or that `columns` maps, is not in the data.
    """
    _check_spelling(kind, columns)
    mapped = dict(columns) | spellings(kind, existing, columns)
    conversations = [name for name in CONVERSATIONS if name in existing and is_conversation(first.get(name))]
    given = {name for name in COLUMNS[kind] if name in mapped or name in existing} - {"label"}
    if not given and len(conversations) == 1:
        mapped["messages" if kind == MESSAGES else "prompt"] = conversations[0]
    elif len(conversations) == 1 and kind == PREFERENCE and is_turn(first.get(mapped.get("chosen", "chosen"))):
        mapped.setdefault("prompt", conversations[0])  # LLaMA-Factory: the conversation before two single turns
    implied = _implied_column(kind, first, {name: name for name in existing} | mapped)
    made_of = {name: mapped.get(name, name) for name in (*COLUMNS[kind], *mapped)}
    for ours, theirs in list(made_of.items()):
        if theirs in existing:
            continue
        if ours == implied and ours not in mapped:
            del made_of[ours]
            continue
        raise ValueError(_no_column(ours, theirs, existing, first, kind=kind, columns=columns, where=where))
    return made_of


def _check_spelling(kind: str, columns: dict[str, str]) -> None:
    """Refuse a name for a column that is nearly one of the kind's: a reward may read any other."""
    for ours, theirs in columns.items():
        near = difflib.get_close_matches(ours, COLUMNS[kind], n=1, cutoff=0.8)
        if near and ours not in COLUMNS[kind]:
            what = f"dataset.columns.{ours}={theirs}: {taken(kind)} data have no '{ours}'."
            raise ValueError(f"{what}\nDid you mean dataset.columns.{near[0]}={theirs}?")


def _implied_column(kind: str, first: dict[str, Any], made_of: dict[str, str]) -> str | None:
    """TRL's column that may be missing, since it follows from others."""
    ends_in_answer = kind in (PROMPT_COMPLETION, UNPAIRED_PREFERENCE)
    if kind == TRIPLE_PREFERENCE:
        return None
    if not ends_in_answer and {"chosen", "rejected"} <= made_of.keys():
        return "prompt"
    if ends_in_answer and "prompt" in made_of and is_conversation(first.get(made_of["prompt"])):
        return "completion"
    return None


def _no_column(
    ours: str,
    theirs: str,
    existing: list[str],
    first: dict[str, Any],
    *,
    kind: str,
    columns: dict[str, str],
    where: str,
) -> str:
    reason = f"which {kind} data need"
    if ours not in columns and taken(kind) != kind:
        reason += f" (taken are {taken(kind)} rows)"
    message = f"{where} has no column '{theirs}', {reason}. It has: {', '.join(existing)}.\n"
    if ours in columns:
        message = f"dataset.columns.{ours}={theirs}: {where} has no column '{theirs}'. It has: {', '.join(existing)}.\n"
    conversations = [name for name in CONVERSATIONS if name in existing]
    if conversations and ours not in columns and kind != PREFERENCE:
        return f"{message}A conversation that ends in an answer holds all: dataset.columns.prompt={conversations[0]}"
    other = "" if columns else advice(kind, existing, first)
    # A name that is hardly like it counts for less than rows of another kind.
    alike = [name for name in existing if not _is_steps(first.get(name))]
    nearest = difflib.get_close_matches(theirs, alike, n=1, cutoff=0.75 if other else 0.5)
    if nearest:
        return f"{message}Did you mean '{nearest[0]}'? Say which column it is: dataset.columns.{ours}={nearest[0]}"
    if other:
        return f"{message}{other}; or say which column it is: dataset.columns.{ours}=<one of these>"
    return f"{message}Say which column it is: dataset.columns.{ours}=<one of these>"


def _is_steps(cell: Any) -> bool:
    """Whether a cell is a list of texts, which no column but the steps of a solution holds."""
    return isinstance(cell, list) and all(isinstance(part, str) for part in cell)
