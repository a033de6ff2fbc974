"""What a dotted path names, read from source files: nothing is imported, so torch and TRL cost nothing here.

`find("trl.GRPOConfig")` follows re-exports, lazy import tables and aliases to the class, and tells its fields.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from expctl.config.source import signature
from expctl.config.source.modules import Module, imported, top
from expctl.config.source.syntax import Import, Names, names_of, opaque


@dataclass(frozen=True, eq=False)
class Definition:
    """A class, a function, or a module-level `value` that only running the module would tell more about.

    `fields` are those of a dataclass, through its bases; `parameters` are the keywords that a call takes, and
    `accepts_any` says that it may take others as well.
    """

    kind: str
    name: str
    module: Module
    node: ast.AST
    holder: "Definition | None" = None  # the class that this is a method of

    @property
    def path(self) -> str:
        return f"{self.module.name}.{self.name}"

    @property
    def file(self) -> Path:
        return self.module.file

    @property
    def line(self) -> int:
        return self.node.lineno

    @cached_property
    def members(self) -> Names:
        return names_of(self.node.body) if self.kind == "class" else Names()

    @cached_property
    def bases(self) -> list["Definition | None"]:
        """The base classes; None stands for one that could not be found."""
        found = []
        for base in self.node.bases:
            base = base.value if isinstance(base, ast.Subscript) else base
            if ast.unparse(base).rpartition(".")[2] not in ("object", "ABC", "Generic", "Protocol"):
                definition = expression(self.module, base)
                found.append(definition if isinstance(definition, Definition) and definition.kind == "class" else None)
        return found

    @cached_property
    def lineage(self) -> list["Definition"]:
        """The class and those it derives from, the first to be asked first."""
        order = [self]
        for base in filter(None, self.bases):
            of_base = {ancestor.path for ancestor in base.lineage}  # a class is found anew along each way
            order = [known for known in order if known.path not in of_base] + base.lineage
        return order

    @cached_property
    def fields(self) -> dict[str, signature.Field]:
        return signature.dataclass_fields(self)

    @cached_property
    def _call(self) -> tuple[dict[str, signature.Field], bool]:
        return signature.keywords(self)

    @property
    def parameters(self) -> dict[str, signature.Field]:
        return self._call[0]

    @property
    def accepts_any(self) -> bool:
        return self._call[1]


@dataclass(frozen=True)
class Missing:
    """A dotted path that leads nowhere: `name` is not in `reached`, which has the names `known`."""

    reached: str
    name: str
    known: list[str]


def find(dotted: str, search: Iterable[Path] = ()) -> Definition | None:
    """The definition that `dotted` names, or None. `search` are folders of modules that are not installed."""
    if not isinstance(dotted, str):
        return None  # a number or a list where a path belongs: `check_targets` says so
    try:
        found = locate(dotted, search)
    except SyntaxError:
        return None
    return found if isinstance(found, Definition) else None


def locate(dotted: str, search: Iterable[Path] = ()) -> Definition | Missing:
    """The definition that `dotted` names, or how far the path leads. Raises SyntaxError where a file is no Python."""
    return _located(dotted, tuple(search))


@cache
def _located(dotted: str, search: tuple[Path, ...]) -> Definition | Missing:
    """Once a process: the cells of a sweep name the same few classes, and each is read from long files."""
    first, *rest = dotted.split(".")
    here = top(first, search)
    if here is None:
        return Missing("", first, [])
    for position, name in enumerate(rest):
        # On the way a submodule goes first: it spares reading packages whose __init__ is long.
        inner = here.submodule(name) if isinstance(here, Module) and position < len(rest) - 1 else None
        inner = inner or member(here, name)
        if inner is None:
            return Missing(_path(here), name, _known(here))
        here = inner
    return here if isinstance(here, Definition) else Missing(here.name, "", _known(here))


def member(here: Module | Definition, name: str, seen: frozenset = frozenset()) -> Module | Definition | None:
    """What the module or class `here` has under `name`."""
    if (_path(here), name) in seen:
        return here.submodule(name) if isinstance(here, Module) else None
    seen |= {(_path(here), name)}
    if isinstance(here, Definition):
        return _class_member(here, name)
    bindings = here.names.bound.get(name, [])
    for binding in sorted(bindings, key=opaque):
        if found := _bound(here, name, binding, seen):
            return found
    return _from_stars(here, name, seen) or here.submodule(name)


def expression(module: Module, node: ast.expr, seen: frozenset = frozenset()) -> Module | Definition | None:
    """What a name or a chain of attributes stands for in `module`."""
    if isinstance(node, ast.Name):
        return member(module, node.id, seen)
    if isinstance(node, ast.Attribute) and (holder := expression(module, node.value, seen)):
        return member(holder, node.attr, seen)
    return None


def _bound(module: Module, name: str, binding: ast.AST | Import, seen: frozenset) -> Module | Definition | None:
    match binding:
        case ast.ClassDef():
            return Definition("class", name, module, binding)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return Definition("function", name, module, binding)
        case Import():
            source = imported(module, binding)
            return member(source, binding.name, seen) if source and binding.name else source
        case ast.Name() | ast.Attribute():
            return expression(module, binding, seen)
    return Definition("value", name, module, binding)


def _from_stars(module: Module, name: str, seen: frozenset) -> Module | Definition | None:
    """`name` through `from x import *`."""
    stars = module.names.stars
    if name.startswith("_"):
        return None
    for star in stars if len(stars) < 50 else _likely(module, stars, name):
        source = imported(module, star)
        if source and (found := member(source, name, seen)):
            return found
    return None


def _likely(module: Module, stars: list[Import], name: str) -> Iterator[Import]:
    """Of a long list of star imports (transformers: 546) those named like `name`, then those that quote it."""
    plain = name.lower().replace("_", "")
    yield from (star for star in stars if plain.startswith(star.module.replace("_", "")))
    quoted = f'"{name}"'.encode()  # as in `__all__`
    for star in stars:
        if any(quoted in file.read_bytes() for file in (module.file.parent / star.module).glob("*.py")):
            yield star


def _class_member(definition: Definition, name: str) -> Definition | None:
    for owner in definition.lineage if definition.kind == "class" else ():
        for binding in owner.members.bound.get(name, []):
            if isinstance(binding, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                kind = "class" if isinstance(binding, ast.ClassDef) else "function"
                return Definition(kind, f"{owner.name}.{name}", owner.module, binding, holder=owner)
    return None


def _path(here: Module | Definition) -> str:
    return here.path if isinstance(here, Definition) else here.name


def _known(here: Module | Definition) -> list[str]:
    """The names that may follow `here` in a dotted path."""
    if isinstance(here, Definition):
        return [name for owner in here.lineage for name in owner.members.bound] if here.kind == "class" else []
    return [*here.names.bound, *here.submodules()]
