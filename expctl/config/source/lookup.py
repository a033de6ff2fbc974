"""What a dotted path names, read from source files: nothing is imported, so torch and TRL cost nothing here.

`find("trl.GRPOConfig")` follows re-exports, lazy import tables and aliases to the class.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from expctl.base.modules import Module, find_module
from expctl.config.source.syntax import Binding, Function, Import, Names, is_opaque, names_of, read

# Base classes that bring neither fields nor a constructor.
_EMPTY_BASES = ("object", "ABC", "Generic", "Protocol")
# With more star imports than that, a module is searched for those that are likely to bring a name.
_MANY_STARS = 50


@dataclass(frozen=True, eq=False)
class Definition:
    """What a dotted path leads to; as it stands, a module-level value that only running the module would explain."""

    name: str
    module: Module
    node: ast.expr | ast.ClassDef | Function

    @property
    def path(self) -> str:
        """The dotted path by which it is defined."""
        return f"{self.module.name}.{self.name}"

    @property
    def file(self) -> Path:
        """The source file."""
        assert self.module.file is not None  # the node was read from it
        return self.module.file

    @property
    def line(self) -> int:
        """The line of the `class` or `def` in the file."""
        return self.node.lineno

    @cached_property
    def members(self) -> Names:
        """The names bound in the body of a class itself."""
        return Names()

    @cached_property
    def lineage(self) -> "tuple[Definition, ...]":
        """Itself; of a class also those that it derives from, the first to be asked first."""
        return (self,)


@dataclass(frozen=True, eq=False)
class FunctionDefinition(Definition):
    """A function, or a method of the class `holder`."""

    node: Function
    holder: Definition | None = None


@dataclass(frozen=True, eq=False)
class ClassDefinition(Definition):
    """A class with its base classes."""

    node: ast.ClassDef

    @cached_property
    def members(self) -> Names:
        return names_of(self.node.body)

    @cached_property
    def bases(self) -> "list[ClassDefinition | None]":
        """The base classes; None stands for one that could not be found."""
        bases: list[ClassDefinition | None] = []
        for base in self.node.bases:
            generic = base.value if isinstance(base, ast.Subscript) else base
            if ast.unparse(generic).rpartition(".")[2] not in _EMPTY_BASES:
                definition = evaluate(self.module, generic)
                bases.append(definition if isinstance(definition, ClassDefinition) else None)
        return bases

    @cached_property
    def lineage(self) -> "tuple[ClassDefinition, ...]":
        order = [self]
        for base in filter(None, self.bases):
            of_base = {ancestor.path for ancestor in base.lineage}  # a class is found anew along each way
            order = [known for known in order if known.path not in of_base] + [*base.lineage]
        return tuple(order)


@dataclass(frozen=True)
class Missing:
    """A dotted path that leads nowhere: `name` is not in `reached`, which has the names `known`."""

    reached: str
    name: str
    known: list[str]


Scope = Module | Definition
# The names on the way to a definition, so that circular imports end: module and name.
Seen = frozenset[tuple[str, str]]


def find(dotted: object, search: Iterable[Path] = ()) -> Definition | None:
    """The definition that `dotted` names; None where it names none or is no text.

    Args:
        dotted: what a config holds under `_target_`; `check_targets` refuses what is no dotted path.
        search: folders of modules that are not installed.
    """
    if not isinstance(dotted, str):
        return None
    try:
        located = locate(dotted, search)
    except SyntaxError:
        return None
    return located if isinstance(located, Definition) else None


def locate(dotted: str, search: Iterable[Path] = ()) -> Definition | Missing:
    """The definition that `dotted` names, or how far the path leads.

    Raises:
        SyntaxError: a file on the way is no Python.
    """
    return _locate(dotted, tuple(search))


@cache
def _locate(dotted: str, search: tuple[Path, ...]) -> Definition | Missing:
    """Cached: the jobs of a sweep name the same few classes, and each is read from long files."""
    first, *rest = dotted.split(".")
    scope: Scope | None = find_module(first, search)
    if scope is None:
        return Missing("", first, [])
    for position, name in enumerate(rest):
        inner: Scope | None = None
        if isinstance(scope, Module) and position < len(rest) - 1:
            # On the way a submodule goes first: it spares reading packages whose __init__ is long.
            inner = scope.submodule(name)
        inner = inner or member(scope, name)
        if inner is None:
            return Missing(_path(scope), name, _known(scope))
        scope = inner
    return scope if isinstance(scope, Definition) else Missing(scope.name, "", _known(scope))


def member(scope: Scope, name: str, seen: Seen = frozenset()) -> Scope | None:
    """What a module or class has under `name`."""
    if isinstance(scope, Definition):
        return _class_member(scope, name)
    if (scope.name, name) in seen:
        return scope.submodule(name)
    seen |= {(scope.name, name)}
    for binding in sorted(_names(scope).bound.get(name, []), key=is_opaque):
        bound = _bound(scope, name, binding, seen)
        if bound:
            return bound
    return _from_stars(scope, name, seen) or scope.submodule(name)


def evaluate(module: Module, node: ast.expr, seen: Seen = frozenset()) -> Scope | None:
    """What a name or a chain of attributes stands for in `module`."""
    if isinstance(node, ast.Name):
        return member(module, node.id, seen)
    if isinstance(node, ast.Attribute):
        holder = evaluate(module, node.value, seen)
        return member(holder, node.attr, seen) if holder else None
    return None


def _names(module: Module) -> Names:
    return read(module.file) if module.file else Names()


def _bound(module: Module, name: str, binding: Binding, seen: Seen) -> Scope | None:
    match binding:
        case ast.ClassDef():
            return ClassDefinition(name, module, binding)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return FunctionDefinition(name, module, binding)
        case Import():
            source = _imported(module, binding)
            return member(source, binding.name, seen) if source and binding.name else source
        case ast.Name() | ast.Attribute():
            return evaluate(module, binding, seen)
    return Definition(name, module, binding)


def _imported(module: Module, statement: Import) -> Module | None:
    """The module that an import statement in `module` names."""
    parts = statement.module.split(".") if statement.module else []
    if statement.level:
        package = module.name.split(".") if module.folder else module.name.split(".")[:-1]
        parts = package[: len(package) - statement.level + 1] + parts
    imported = find_module(parts[0], module.search) if parts else None
    for part in parts[1:]:
        imported = imported.submodule(part) if imported else None
    return imported


def _from_stars(module: Module, name: str, seen: Seen) -> Scope | None:
    """`name` through `from x import *`."""
    stars = _names(module).stars
    if name.startswith("_"):
        return None
    for star in stars if len(stars) < _MANY_STARS else _likely(module, stars, name):
        source = _imported(module, star)
        definition = member(source, name, seen) if source else None
        if definition:
            return definition
    return None


def _likely(module: Module, stars: list[Import], name: str) -> Iterator[Import]:
    """Of a long list of star imports (transformers: 546) those named like `name`, then those that quote it."""
    plain = name.lower().replace("_", "")
    yield from (star for star in stars if plain.startswith(star.module.replace("_", "")))
    quoted = f'"{name}"'.encode()  # as in `__all__`
    for star in stars:
        folder = (module.file or Path()).parent / star.module
        if any(quoted in file.read_bytes() for file in folder.glob("*.py")):
            yield star


def _class_member(definition: Definition, name: str) -> Definition | None:
    for owner in definition.lineage:
        for binding in owner.members.bound.get(name, []):
            if isinstance(binding, ast.ClassDef):
                return ClassDefinition(f"{owner.name}.{name}", owner.module, binding)
            if isinstance(binding, Function):
                return FunctionDefinition(f"{owner.name}.{name}", owner.module, binding, owner)
    return None


def _path(scope: Scope) -> str:
    return scope.path if isinstance(scope, Definition) else scope.name


def _known(scope: Scope) -> list[str]:
    """The names that may follow `scope` in a dotted path."""
    if isinstance(scope, Module):
        return [*_names(scope).bound, *scope.submodules()]
    return [name for owner in scope.lineage for name in owner.members.bound]
