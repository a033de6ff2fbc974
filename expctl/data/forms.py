"""In which form the rows lie, by their columns, and how one kind of data follows from another. Torch-free.

Nothing is guessed: a kind is made of another only where all of its columns follow. The prompts and the chosen side of
preferences are prompts and completions; a prompt and what follows it is a conversation; two preferences are one wanted
and one unwanted completion.
"""

from collections.abc import Collection
from typing import Any

from expctl.base.data_kinds import (
    COLUMNS,
    MESSAGES,
    PREFERENCE,
    PRIVILEGED,
    PROMPT_COMPLETION,
    PROMPT_ONLY,
    STEPWISE,
    TEXT,
    TRIPLE_PREFERENCE,
    UNPAIRED_PREFERENCE,
)
from expctl.data.turns import Turn, is_conversation

Row = dict[str, Any]
# Where public data keep a whole conversation, its last answer included.
CONVERSATIONS = ("messages", "conversations")
# Columns that hold what follows a prompt.
COMPLETIONS = ("completion", "chosen", "rejected", "reference")
# Alpaca's names, and those of its relatives: ours -> theirs. What stands in `input` belongs below the instruction.
ALPACA = {"prompt": ("instruction",), "completion": ("output", "response")}
BELOW = "input"
# Wanted -> the forms that it is made of, the first that is there.
_MADE_OF = {
    PROMPT_COMPLETION: (PROMPT_COMPLETION, PREFERENCE, TEXT),
    MESSAGES: (MESSAGES, PROMPT_COMPLETION, PREFERENCE),
    UNPAIRED_PREFERENCE: (UNPAIRED_PREFERENCE, PREFERENCE),
}
_ALGORITHMS = {
    PROMPT_COMPLETION: "sft",
    PREFERENCE: "dpo",
    UNPAIRED_PREFERENCE: "kto",
    TEXT: "sft",
    PROMPT_ONLY: "grpo",
}

# Wanted -> the options of `dataset` that have it, or rows that it is made of. `arithmetic` has all but text and steps.
_PAIRS = ("ultrafeedback", "hh_rlhf", "humanlike_preferences")
_HAVE = {
    PROMPT_ONLY: ("gsm8k", "math", "deepscaler"),
    PROMPT_COMPLETION: ("capybara", "tulu", "openr1_math", *_PAIRS),
    MESSAGES: ("capybara", "tulu", "openr1_math", *_PAIRS),
    PREFERENCE: _PAIRS,
    UNPAIRED_PREFERENCE: (*_PAIRS, "kto_mix"),
    STEPWISE: ("prm800k",),
}


def form_of(wanted: str, existing: Collection[str], first: Row, columns: dict[str, str]) -> str:
    """The kind of data in which the rows lie, from which `wanted` follows; `wanted` itself where none is there.

    Args:
        wanted: what the algorithm learns from.
        existing: names of the columns of the data.
        first: its first row.
        columns: TRL's name -> the data's, as the user maps them.
    """
    forms = _MADE_OF.get(wanted, (wanted,))
    return next((form for form in forms if _is_there(form, existing, first, columns)), wanted)


def advice(wanted: str, existing: Collection[str], first: Row) -> str:
    """What the rows are good for, as a remedy; empty where no algorithm is known for them."""
    there = [form for form in _ALGORITHMS if form != wanted and _is_there(form, existing, first, {})]
    if wanted not in (STEPWISE, PROMPT_ONLY) and _is_there(STEPWISE, existing, first, {}):
        return (
            "these rows are stepwise data, from which no trainer of TRL learns since 1.14; one of yours with "
            "algorithm.kind=stepwise does"
        )
    if not there:
        return ""
    return f"these rows are {there[0]} data: algorithm={_ALGORITHMS[there[0]]} learns from them"


def taken(wanted: str) -> str:
    """The kinds of rows that an algorithm takes which learns from one kind: `unpaired-preference or preference`."""
    return " or ".join(_MADE_OF.get(wanted, (wanted,)))


def remedy(wanted: str, supported: Collection[str]) -> str:
    """Where rows of a kind are to be had, and which algorithms learn from the kinds that there are."""
    embedded = () if wanted in (TEXT, STEPWISE) else ("arithmetic",)
    options = (*_HAVE.get(wanted, ()), *embedded)
    rows = f"dataset={', '.join(options)}; or dataset=files" if options else "dataset=files"
    columns = " or ".join(", ".join(COLUMNS[form]) for form in _MADE_OF.get(wanted, (wanted,)))
    others = [_ALGORITHMS[form] for form in supported if form in _ALGORITHMS]
    learns = f"; or with these data algorithm={', '.join(others)}" if others else ""
    return f"{rows} with your own rows ({columns}){learns}"


def spellings(form: str, existing: Collection[str], columns: dict[str, str]) -> dict[str, str]:
    """Alpaca's names for the columns of a form, where the data have these and not ours."""
    if "prompt" in columns or "prompt" in existing or "prompt" not in COLUMNS[form]:
        return {}
    found = {}
    for ours, theirs in ALPACA.items():
        names = [name for name in theirs if name in existing]
        if ours in COLUMNS[form] and names and ours not in columns and ours not in existing:
            found[ours] = names[0]
    return found if "prompt" in found else {}


def derived(row: Row, form: str, wanted: str) -> Row:
    """A row of one form as a row of the kind that is wanted. Preferences are unpaired later, since they become two."""
    if form == PREFERENCE and wanted in (PROMPT_COMPLETION, MESSAGES):
        row = {name: cell for name, cell in row.items() if name not in ("chosen", "rejected")} | {
            "completion": row["chosen"]
        }
    if form != MESSAGES and wanted == MESSAGES:
        turns = [*_turns(row["prompt"], "user"), *_turns(row["completion"], "assistant")]
        return {"messages": turns} | {
            name: cell for name, cell in row.items() if name not in COLUMNS[PROMPT_COMPLETION]
        }
    return row


def _is_there(form: str, existing: Collection[str], first: Row, columns: dict[str, str]) -> bool:
    names = {*existing, *columns, *spellings(form, existing, columns)}
    held = [name for name in CONVERSATIONS if name in existing and is_conversation(first.get(name))]
    if form == MESSAGES:
        return "messages" in columns or bool(held)
    if form == PREFERENCE:
        return {"chosen", "rejected"} <= names
    if form == UNPAIRED_PREFERENCE:
        return "label" in names and ("completion" in names or bool(held))
    if form == PROMPT_COMPLETION:
        return "completion" in names or bool(held) or is_conversation(first.get(columns.get("prompt", "prompt")))
    if form == TEXT:
        return "text" in names and "prompt" not in names
    return set(COLUMNS[form]) <= names if form in (STEPWISE, TRIPLE_PREFERENCE, PRIVILEGED) else "prompt" in names


def _turns(cell: str | list[Turn], role: str) -> list[Turn]:
    return cell if isinstance(cell, list) else [{"role": role, "content": cell}]
