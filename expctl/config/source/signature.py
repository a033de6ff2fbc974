"""The keywords that a class or a function takes, read from its syntax tree."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from expctl.config.source.lookup import ClassDefinition, Definition, FunctionDefinition
from expctl.config.source.syntax import Function

# Decorators that leave the keywords of a function as written; under any other one, every keyword passes.
_TRANSPARENT = {
    "abstractmethod",
    "cache",
    "classmethod",
    "contextmanager",
    "inference_mode",
    "lru_cache",
    "no_grad",
    "override",
    "staticmethod",
}
_PLAIN_CLASS = {"dataclass", "final", "runtime_checkable", "total_ordering"}


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


@dataclass(frozen=True)
class Signature:
    """What a call takes.

    Args:
        parameters: the keywords.
        accepts_any: it may take others as well.
        fields: those of a dataclass with those of its bases, in order, also where `init=False`.
    """

    parameters: dict[str, Field]
    accepts_any: bool = False
    fields: dict[str, Field] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Field]:
        """Parameters and fields."""
        return self.parameters | self.fields


@cache
def signature(definition: Definition) -> Signature:
    """What a call of `definition` takes."""
    if isinstance(definition, ClassDefinition):
        return _constructor(definition)
    if isinstance(definition, FunctionDefinition):
        is_bound = definition.holder is not None and "classmethod" in _decorators(definition.node)
        return Signature(_parameters(definition, definition.node, is_bound), _is_open(definition.node))
    return Signature({}, accepts_any=True)


def _constructor(definition: ClassDefinition) -> Signature:
    fields = _dataclass_fields(definition)
    parameters: dict[str, Field] = {}
    for owner in definition.lineage:
        if "__init__" not in owner.members.bound and _is_dataclass(owner):
            own = {each.name: each for each in _dataclass_fields(owner).values() if each.init}
            return Signature(own | parameters, _is_unknown(definition), fields)
        functions = owner.members.bound.get("__init__") or owner.members.bound.get("__new__")
        if not functions:
            continue
        function = functions[0]
        if not isinstance(function, ast.FunctionDef):
            return Signature(parameters, True, fields)
        parameters = _parameters(owner, function, is_bound=True) | parameters
        if not _forwards(function):
            return Signature(parameters, _is_open(function), fields)
    return Signature(parameters, _is_unknown(definition), fields)


def _dataclass_fields(definition: ClassDefinition) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for owner in reversed(definition.lineage):
        if _is_dataclass(owner):
            fields |= {each.name: each for each in _own_fields(owner)}
    return fields


def _own_fields(definition: ClassDefinition) -> list[Field]:
    fields = []
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
            init = ast.unparse(given.get("init", ast.Constant(True))) != "False"
        fields.append(Field(statement.target.id, statement.annotation, default, definition, init))
    return fields


def _parameters(owner: Definition, function: Function, is_bound: bool) -> dict[str, Field]:
    """The parameters that may be given by keyword; without the first one where the function is bound to it."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    defaults: Sequence[ast.expr | None] = [*[None] * required, *arguments.defaults]
    pairs = list(zip(positional, defaults, strict=True))[len(arguments.posonlyargs) or is_bound :]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {name.arg: Field(name.arg, name.annotation, default, owner) for name, default in pairs}


def _is_open(function: Function) -> bool:
    """Whether a call may take keywords beyond those written."""
    return function.args.kwarg is not None or not set(_decorators(function)) <= _TRANSPARENT


def _forwards(function: ast.FunctionDef) -> bool:
    """Whether `**kwargs` goes to the constructor of the base class and nowhere else."""
    if function.args.kwarg is None or not set(_decorators(function)) <= _TRANSPARENT:
        return False
    nodes = list(ast.walk(function))
    calls = [node for node in nodes if isinstance(node, ast.Call) and _last_name(node.func) == "__init__"]
    handed_on = [keyword.value for call in calls for keyword in call.keywords if keyword.arg is None]
    name = function.args.kwarg.arg
    uses = [node for node in nodes if isinstance(node, ast.Name) and node.id == name]
    return len(uses) == 1 and uses[0] in handed_on


def _is_dataclass(definition: ClassDefinition) -> bool:
    return "dataclass" in _decorators(definition.node)


def _is_unknown(definition: ClassDefinition) -> bool:
    """Whether something else than the class statements may decide what a constructor takes."""
    return any(map(_makes_constructors, definition.lineage))


def _makes_constructors(definition: ClassDefinition) -> bool:
    metaclasses = [_last_name(keyword.value) for keyword in definition.node.keywords if keyword.arg == "metaclass"]
    return (
        None in definition.bases
        or metaclasses not in ([], ["ABCMeta"])
        or "__init_subclass__" in definition.members.bound
        or not set(_decorators(definition.node)) <= _PLAIN_CLASS
    )


def _decorators(node: ast.ClassDef | Function) -> list[str]:
    return [_last_name(item.func if isinstance(item, ast.Call) else item) for item in node.decorator_list]


def _last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
