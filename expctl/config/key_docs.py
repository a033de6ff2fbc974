"""What a key means where a `_target_` takes it: the default, the type and the sentence of whoever wrote the class."""

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
class Meaning:
    """The keyword `name` of what `target` names; `default` and `kind` as they are written in the source."""

    target: str
    name: str
    default: str | None
    kind: str | None
    sentence: str
    where: str


def target_above(config: dict[str, Any], key: str) -> str | None:
    """The `_target_` that takes `key` as a keyword."""
    *above, name = key.split(".")
    target = at(config, *above, "_target_")
    return target if isinstance(target, str) and name not in HYDRA_KEYS else None


def meaning(target: str, name: str, search: Iterable[Path] = ()) -> Meaning | None:
    """What the class or function says about a keyword; None where its source does not name it."""
    definition = find(target, search)
    field = _keywords(definition).get(name) if definition else None
    if field is None:
        return None
    kind = ast.unparse(field.annotation) if field.annotation else None
    return Meaning(target, name, _default(field), kind, _sentence(field), f"{field.owner.file}:{_line(field)}")


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
    mine = (each for each in body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name))
    return next((each for each in mine if each.target.id == field.name), None)


def _line(field: Field) -> int:
    statement = _statement(field)
    return statement.lineno if statement else field.owner.line


def _sentence(field: Field) -> str:
    """The first sentence of the docstring's entry, else of `metadata={"help": ...}`."""
    text = docstrings.entry(field).partition("\n")[2] or _help(field)
    text = " ".join(text.split())
    return re.split(r"(?<=[^.][^.]\.)\s(?=[A-Z`])", text, maxsplit=1)[0]


def _help(field: Field) -> str:
    statement = _statement(field)
    given = {each.arg: each.value for each in getattr(statement and statement.value, "keywords", [])}
    metadata = given.get("metadata")
    if isinstance(metadata, ast.Dict):
        for name, value in zip(metadata.keys, metadata.values, strict=True):
            if isinstance(name, ast.Constant) and name.value == "help" and isinstance(value, ast.Constant):
                return str(value.value)
    return ""
