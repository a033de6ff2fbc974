"""The keywords that a class or a function takes, read from its syntax tree."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expctl.config.source.lookup import Definition

# Decorators that leave the keywords of a function as written; under any other one, every keyword passes.
_TRANSPARENT = {"staticmethod", "classmethod", "abstractmethod", "override", "contextmanager", "no_grad",
                "inference_mode", "cache", "lru_cache"}  # fmt: skip
_PLAIN_CLASS = {"dataclass", "total_ordering", "final", "runtime_checkable"}


@dataclass(frozen=True)
class Field:
    """A field of a dataclass or a parameter of a call; `owner` is the definition whose source declares it.

    `default` is the expression in the source: None where there is none, the factory for `default_factory`.
    """

    name: str
    annotation: ast.expr | None
    default: ast.expr | None
    owner: Definition
    init: bool = True


def dataclass_fields(definition: Definition) -> dict[str, Field]:
    """The fields of a dataclass with those of its bases, in order; empty for anything else."""
    found: dict[str, Field] = {}
    if definition.kind == "class":
        for owner in reversed(definition.lineage):
            if _is_dataclass(owner):
                found |= {field.name: field for field in _own_fields(owner)}
    return found


def keywords(definition: Definition) -> tuple[dict[str, Field], bool]:
    """The keywords that a call of `definition` takes, and whether it may take others."""
    if definition.kind == "value":
        return {}, True
    if definition.kind == "function":
        bound = definition.holder is not None and "classmethod" in _decorators(definition.node)
        return _parameters(definition, definition.node, bound), _open(definition.node)
    return _constructor(definition)


def _constructor(definition: Definition) -> tuple[dict[str, Field], bool]:
    found: dict[str, Field] = {}
    unknown = any(map(_makes_constructors, definition.lineage))
    for owner in definition.lineage:
        bound = owner.members.bound
        function = next(iter(bound.get("__init__") or bound.get("__new__") or []), None)
        if "__init__" not in bound and _is_dataclass(owner):
            return {field.name: field for field in owner.fields.values() if field.init} | found, unknown
        if function is None:
            continue
        if not isinstance(function, ast.FunctionDef):
            return found, True
        found = _parameters(owner, function, bound=True) | found
        if not (function.args.kwarg and _forwards(function)):
            return found, _open(function)
    return found, unknown


def _own_fields(definition: Definition) -> list[Field]:
    found = []
    for statement in definition.node.body:
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        kind = ast.unparse(statement.annotation).strip("'\"")
        if "ClassVar" in kind or kind.endswith("KW_ONLY"):
            continue
        default, init = statement.value, True
        if isinstance(default, ast.Call) and _last_name(default.func) == "field":
            given = {keyword.arg: keyword.value for keyword in default.keywords}
            default = given.get("default", given.get("default_factory"))
            init = not (isinstance(given.get("init"), ast.Constant) and given["init"].value is False)
        found.append(Field(statement.target.id, statement.annotation, default, definition, init))
    return found


def _parameters(owner: Definition, function: ast.FunctionDef, bound: bool) -> dict[str, Field]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    pairs = list(zip(positional, defaults, strict=True))[len(arguments.posonlyargs) or bound :]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {name.arg: Field(name.arg, name.annotation, default, owner) for name, default in pairs}


def _open(function: ast.FunctionDef) -> bool:
    """Whether a call may take keywords beyond those written."""
    return function.args.kwarg is not None or not set(_decorators(function)) <= _TRANSPARENT


def _forwards(function: ast.FunctionDef) -> bool:
    """Whether `**kwargs` goes to the constructor of the base class and nowhere else."""
    name = function.args.kwarg.arg
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name]
    handed = [
        keyword.value
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"
        for keyword in node.keywords
        if keyword.arg is None
    ]
    return len(uses) == 1 and uses[0] in handed and set(_decorators(function)) <= _TRANSPARENT


def _is_dataclass(definition: Definition) -> bool:
    return "dataclass" in _decorators(definition.node)


def _makes_constructors(definition: Definition) -> bool:
    """Whether something else than this class statement may decide what a constructor takes."""
    metaclasses = [_last_name(word.value) for word in definition.node.keywords if word.arg == "metaclass"]
    return (
        None in definition.bases
        or metaclasses not in ([], ["ABCMeta"])
        or "__init_subclass__" in definition.members.bound
        or not set(_decorators(definition.node)) <= _PLAIN_CLASS
    )


def _decorators(node: ast.ClassDef | ast.FunctionDef) -> list[str]:
    return [_last_name(item.func if isinstance(item, ast.Call) else item) for item in node.decorator_list]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
