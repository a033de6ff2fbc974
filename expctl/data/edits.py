"""What a config does to the rows of data files first: keep some of them, make prompts and answers. Torch-free.

These work on the data's own columns. What becomes of a row then is `shape`'s.
"""

import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from expctl.data import answers, expression
from expctl.data.forms import ALPACA, CONVERSATIONS
from expctl.data.shape import Place, Row, RowError
from expctl.data.turns import is_conversation

KEYS = ("filter", "template", "answer")


@dataclass(frozen=True)
class Edits:
    """The edits of a `dataset` group, each None where there is none.

    Args:
        filter: an expression over columns; rows for which it is false are left out.
        template: the prompt, with `{column}` for what a column holds.
        answer: the rule by which the column `answer` is taken from a worked solution.
        answer_from: the columns that may hold that solution, of which the first that is there does.
    """

    filter: str | None = None
    template: str | None = None
    answer: str | None = None
    answer_from: tuple[str, ...] = ("answer",)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Edits":
        """Those that a `dataset` group asks for."""
        columns = options.get("columns") or {}
        given = {key: options.get(key) for key in KEYS}
        return cls(**given, answer_from=solution_columns(columns))

    @property
    def made(self) -> list[str]:
        """Our columns that are made here, and are mapped to none of the data."""
        return [name for name, made in (("prompt", self.template), ("answer", self.answer)) if made is not None]

    def unmade(self, columns: Mapping[str, str]) -> dict[str, str]:
        """The user's mapping without the columns that are made here."""
        return {ours: theirs for ours, theirs in columns.items() if ours not in self.made}

    def check(self, existing: list[str]) -> None:
        """Refuse what cannot be read, or looks at columns that are not there.

        Raises:
            ValueError: begins with the key.
        """
        needed = {"filter": self._filter_columns, "template": self._template_columns, "answer": self._answer_columns}
        for key in KEYS:
            given = getattr(self, key)
            if given is None:
                continue
            try:
                absent = [name for name in needed[key](existing) if name not in existing]
            except ValueError as error:
                raise ValueError(f"dataset.{key}={given}: {error}.") from error
            if absent:
                raise ValueError(
                    f"dataset.{key}={given}: the data have no column '{absent[0]}'. They have: {', '.join(existing)}."
                )

    def rows(self, rows: Iterable[tuple[Place, Row]]) -> Iterator[tuple[Place, Row]]:
        """The rows that are kept, with what is made of them. Raises RowError."""
        for place, cells in rows:
            try:
                if self.filter is None or expression.value(self._tree, cells):
                    yield place, self._edited(cells)
            except ValueError as error:
                raise RowError(f"row {place}: {error}") from error

    def _edited(self, cells: Row) -> Row:
        made: Row = {}
        if self.template is not None:
            made["prompt"] = self._filled(self.template, cells)
        if self.answer is not None:
            column = next((name for name in self.answer_from if cells.get(name) is not None), self.answer_from[0])
            solution = _solution(cells.get(column))
            made["answer"] = answers.rule(self.answer)(solution)
            if made["answer"] is None:
                raise ValueError(
                    f"dataset.answer={self.answer} finds no answer in column '{column}': {solution!r:.60}. "
                    "Leave such rows out by dataset.filter"
                )
        return cells | made if made else cells

    def _filled(self, template: str, cells: Row) -> str:
        parts = []
        for text, column, _, _ in string.Formatter().parse(template):
            parts.append(text)
            if column is not None:
                cell = cells.get(column)
                if cell is None:
                    raise ValueError(f"column '{column}', which dataset.template names, is empty")
                parts.append(str(cell))
        return "".join(parts)

    @cached_property
    def _tree(self) -> Any:
        return expression.parsed(str(self.filter))

    def _filter_columns(self, existing: list[str]) -> list[str]:
        return expression.columns_of(self._tree)

    def _template_columns(self, existing: list[str]) -> list[str]:
        named = [column for _, column, _, _ in string.Formatter().parse(str(self.template)) if column is not None]
        if not named:
            raise ValueError("it names no column, so that all prompts would be the same; {question} is one")
        return named

    def _answer_columns(self, existing: list[str]) -> list[str]:
        answers.rule(str(self.answer))
        return [next((name for name in self.answer_from if name in existing), self.answer_from[0])]


def solution_columns(columns: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of the data that may hold a worked solution: the one that is mapped, or those of completions."""
    if "answer" in columns:
        return (columns["answer"],)
    mapped = [columns[name] for name in ("completion", "chosen", "messages") if name in columns]
    return tuple(dict.fromkeys(("answer", *mapped, "completion", *ALPACA["completion"], "chosen", *CONVERSATIONS)))


def _solution(cell: Any) -> str:
    """A solution as one text: of a conversation what the assistant says last."""
    if not is_conversation(cell) or not cell:
        return str(cell)
    turn = cell[-1]
    return str(turn.get("content", turn.get("value")))


AS_THEY_ARE = Edits()
