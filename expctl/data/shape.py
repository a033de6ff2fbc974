"""A row of a file becomes a row as the trainer takes it. One rule for parent and worker; torch-free."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import (
    COLUMNS,
    MESSAGES,
    PRIVILEGED,
    PROMPT_COMPLETION,
    PROMPT_ONLY,
    STEPWISE,
    TEXT,
    UNPAIRED_PREFERENCE,
)
from expctl.data import pairs
from expctl.data.forms import COMPLETIONS, CONVERSATIONS, derived
from expctl.data.images import COLUMNS as IMAGE_COLUMNS
from expctl.data.images import IMAGES, check_conversation, images_of, without_places
from expctl.data.turns import check_text, is_blank, is_conversation, is_turn, plain_turns, with_system
from expctl.data.verdicts import label, steps

Row = dict[str, Any]
# Which row it is: its number, and of several files the file's name as well.
Place = int | str
# A conversation that some program wrote into a cell of text, as JSON or as Python prints it.
_SPELT_CONVERSATION = re.compile(r"""\s*\[\s*\{\s*['"](role|content|from|value|type)['"]\s*:""")
# Columns that TRL would take for the text to train on, in place of prompt and completion.
_TRL_TEXTS = ("text", *CONVERSATIONS)


class RowError(ValueError):
    """A row, named by its number, that the trainer cannot take."""


class EmptyCellError(ValueError):
    """A column that has to hold something is empty in a row."""

    def __init__(self, column: str):
        super().__init__(f"column '{column}' is empty")
        self.column = column


@dataclass(frozen=True)
class Shape:
    """What rows are made of.

    Args:
        kind: of the rows as they lie, a key of `data_kinds.COLUMNS`.
        made_of: TRL's column -> the data's, from `columns.sources`.
        conversational: make turns of plain texts.
        repeated: every plain completion begins with the prompt, which is taken off it.
        wanted: the kind that the algorithm learns from, which `forms.derived` makes of the other; None for the same.
        below: a column whose text stands below the prompt (Alpaca's `input`), where there is any.
        system_prompt: the turn of the system with which conversations begin that have none of their own.
        folder: where the paths of images begin; None where rows have none.
    """

    kind: str
    made_of: dict[str, str]
    conversational: bool = False
    repeated: bool = False
    wanted: str | None = None
    below: str | None = None
    system_prompt: str | None = None
    folder: Path | None = None

    def row(self, cells: Row) -> Row:
        """The row as the trainer takes it: texts, or turns of role and text, and the further columns as they are.

        Raises:
            EmptyCellError: nothing to train on in a column.
            ValueError: what is there is neither text nor conversation, or does not fit together.
        """
        images = images_of(cells, self.folder) if self.folder is not None else []
        texts = self._texts(cells, len(images))
        for name, cell in texts.items():
            if isinstance(cell, str | list) and name != "labels" and is_blank(cell):
                raise EmptyCellError(name)
        if self.conversational:
            texts = {name: _as_turns(name, cell) for name, cell in texts.items()}
        if self.system_prompt is not None:
            begins = "messages" if self.kind == MESSAGES else "prompt"
            texts[begins] = with_system(texts.get(begins), self.system_prompt)
        row = texts | self._further(cells)
        if self.folder is not None:
            check_conversation(texts)
            row[IMAGES] = images
        return derived(row, self.kind, self.wanted or self.kind)

    def _texts(self, cells: Row, images: int) -> Row:
        """What is trained on, by TRL's names."""
        if images:
            cells = {
                name: without_places(cell, images) if is_conversation(cell) else cell for name, cell in cells.items()
            }
        if self.kind in (TEXT, MESSAGES):
            (name,) = COLUMNS[self.kind]
            return {name: self._cell(cells, name)}
        if self.kind == STEPWISE:
            named = {name: cells.get(self.made_of[name]) for name in ("completions", "labels")}
            return {"prompt": self._cell(cells, "prompt")} | steps(**named)
        if self.kind == PRIVILEGED:
            return {name: self._cell(cells, name) for name in COLUMNS[PRIVILEGED]}
        prompt, completions = self._prompt_and_completions(cells)
        texts: Row = {"prompt": prompt}
        if self.kind != PROMPT_ONLY:
            texts |= completions
        if self.kind == UNPAIRED_PREFERENCE:
            texts["label"] = label(cells.get(self.made_of["label"]))
        return texts

    def _prompt_and_completions(self, cells: Row) -> tuple[pairs.Cell, dict[str, pairs.Cell]]:
        completions = {name: self._cell(cells, name) for name in self._completions(cells)}
        source = self.made_of.get("prompt")
        if source is None:
            prompt = pairs.shared_beginning(*completions.values())
            return prompt, {name: cell[len(prompt) :] for name, cell in completions.items()}
        prompt = self._cell(cells, "prompt")
        has_completion = self.kind in (PROMPT_COMPLETION, UNPAIRED_PREFERENCE)
        if not completions and (has_completion or source in CONVERSATIONS):
            prompt, last = pairs.last_turn_apart(prompt)
            if has_completion and not last:
                raise ValueError("the conversation does not end with a turn of the assistant, which is the completion")
            return prompt, {"completion": last}
        prompt, completions = pairs.in_one_form(prompt, completions)
        if self.repeated:
            completions = {name: cell[len(prompt) :] for name, cell in completions.items()}
        return prompt, completions

    def _completions(self, cells: Row) -> list[str]:
        """Our columns that tell what follows the prompt; of prompts alone those that can change how it is written."""
        if self.kind != PROMPT_ONLY:
            return [name for name in COLUMNS[self.kind] if name in COMPLETIONS and name in self.made_of]
        for names in (["chosen", "rejected"], ["completion"]):
            present = [cells.get(self.made_of.get(name, name)) for name in names]
            if all(map(is_conversation, present)) or ("prompt" not in self.made_of and len(names) == 2):
                return names
        return []

    def _cell(self, cells: Row, name: str) -> pairs.Cell:
        cell = cells.get(self.made_of.get(name, name))
        if is_turn(cell) and name in ("chosen", "rejected"):
            cell = [cell]  # as LLaMA-Factory has them
        if cell is None or cell in ("", []):
            raise EmptyCellError(name)
        if is_conversation(cell):
            return plain_turns(cell)
        if not isinstance(cell, str):
            raise ValueError(
                f"column '{name}' holds {type(cell).__name__}, {cell!r:.60}; it must hold texts, or conversations "
                'such as [{"role": "user", "content": "..."}]'
            )
        if _SPELT_CONVERSATION.match(cell):
            raise ValueError(
                f"column '{name}' is a text that spells a conversation, {cell!r:.60}; write the rows as JSONL or "
                "Parquet, which hold conversations as such"
            )
        below = cells.get(self.below) if self.below and name == "prompt" else None
        return check_text(f"{cell}\n\n{below}" if isinstance(below, str) and below.strip() else cell)

    def _further(self, cells: Row) -> Row:
        """What reward functions may ask for, under our names; without what the texts were made of."""
        ours_of_kind = COLUMNS[self.kind]
        mapped = {ours: cells.get(theirs) for ours, theirs in self.made_of.items() if ours not in ours_of_kind}
        left_out = {*self.made_of.values(), *ours_of_kind, *mapped, self.below}
        if self.folder is not None:
            left_out |= set(IMAGE_COLUMNS)
        if self.kind != PROMPT_ONLY:
            left_out |= set(_TRL_TEXTS)
        return mapped | {name: cell for name, cell in cells.items() if name not in left_out}


def shaped(rows: Iterable[tuple[Place, Row]], shape: Shape, *, whole: bool = True) -> Iterator[Row]:
    """The rows as the trainer takes them.

    Args:
        rows: with their places, which messages name.
        shape: what they are made of.
        whole: these are all rows there are, and not the first ones.

    Raises:
        RowError: a row that cannot be one, with its place; at the end, how many are empty.
    """
    empty: dict[str, list[Place]] = {}
    forms: dict[str, type] = {}
    total = 0
    for place, cells in rows:
        total += 1
        try:
            row = shape.row(cells)
            _check_forms(row, forms)
        except EmptyCellError as error:
            empty.setdefault(error.column, []).append(place)
            continue
        except ValueError as error:
            raise RowError(f"row {place}: {error}") from error
        yield row
    for name, places in empty.items():
        raise RowError(f"column '{name}' is empty in {_which(places, total, whole)}; fill it or take the row out.")


def _as_turns(name: str, cell: Any) -> Any:
    if not isinstance(cell, str) or name not in ("prompt", *COMPLETIONS):
        return cell
    return [{"role": "user" if name == "prompt" else "assistant", "content": cell}]


def _check_forms(row: Row, forms: dict[str, type]) -> None:
    for name in [name for name in ("prompt", *COMPLETIONS) if name in row]:
        form = forms.setdefault(name, type(row[name]))
        if not isinstance(row[name], form):
            now, before = _form_name(type(row[name])), _form_name(form)
            raise ValueError(f"column '{name}' is {now}, and {before} in the rows before: {row[name]!r:.60}")


def _form_name(form: type) -> str:
    return "a text" if form is str else "a conversation"


def _which(places: list[Place], total: int, whole: bool) -> str:
    of = f"{total}" if whole else f"the first {total}"
    if len(places) > 1:
        return f"{len(places)} of {of} rows, first in row {places[0]}"
    return f"row {places[0]} of {of}" if isinstance(places[0], int) else f"row {places[0]}"
