"""The documentation of a key that a `_target_` takes: default, type and first sentence, from its source."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.base.plain_data import at
from expctl.config.checks.fields import HYDRA_KEYS
from expctl.config.source import docstrings
from expctl.config.source.lookup import Definition, find
from expctl.config.source.signature import Field, signature


@dataclass(frozen=True)
class KeyDoc:
    """The documentation of the keyword `name` of `target`.

    `default` and `annotation` are as in the source, `where` is its file and line.
    """

    target: str
    name: str
    default: str | None
    annotation: str | None
    sentence: str
    where: str


def target_above(config: dict[str, Any], key: str) -> str | None:
    """The `_target_` that takes `key` as a keyword."""
    *above, name = key.split(".")
    target = at(config, *above, "_target_")
    return target if isinstance(target, str) and name not in HYDRA_KEYS else None


def key_doc(target: str, name: str, search: Iterable[Path] = ()) -> KeyDoc | None:
    """The documentation of a keyword; None where the source of the class or function does not name it."""
    definition = find(target, search)
    field = _keywords(definition).get(name) if definition else None
    if field is None:
        return None
    annotation = ast.unparse(field.annotation) if field.annotation else None
    return KeyDoc(target, name, _default(field), annotation, _sentence(field), f"{field.owner.file}:{_line(field)}")


def keywords(target: str, search: Iterable[Path] = ()) -> list[str]:
    """The keywords that a target takes, as far as its source names them."""
    definition = find(target, search)
    return list(_keywords(definition)) if definition else []


def _keywords(definition: Definition) -> dict[str, Field]:
    return signature(definition).known


def _default(field: Field) -> str | None:
    if field.default is None:
        return None
    text = ast.unparse(field.default)
    return text.removeprefix("lambda: ")


def _statement(field: Field) -> ast.AnnAssign | None:
    body = field.owner.node.body if isinstance(field.owner.node, ast.ClassDef) else []
    for statement in body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == field.name:
            return statement
    return None


def _line(field: Field) -> int:
    statement = _statement(field)
    return statement.lineno if statement else field.owner.line


def _sentence(field: Field) -> str:
    """The first sentence of the docstring's entry, else of `metadata={"help": ...}`."""
    text = docstrings.entry(field).partition("\n")[2] or _help(field)
    text = " ".join(text.split())
    return re.split(r"(?<=[^.][^.]\.)\s(?=[A-Z`])", text, maxsplit=1)[0]


def _help(field: Field) -> str:
    """The text of `field(metadata={"help": ...})`."""
    statement = _statement(field)
    if statement is None or not isinstance(statement.value, ast.Call):
        return ""
    for keyword in statement.value.keywords:
        if keyword.arg == "metadata" and isinstance(keyword.value, ast.Dict):
            return _text_of(keyword.value, "help")
    return ""


def _text_of(mapping: ast.Dict, key: str) -> str:
    """The constant at a key of a mapping in the source."""
    for name, value in zip(mapping.keys, mapping.values, strict=True):
        if isinstance(name, ast.Constant) and name.value == key and isinstance(value, ast.Constant):
            return str(value.value)
    return ""
