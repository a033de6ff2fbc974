"""What a dotted path names, read from source files: nothing is imported, so torch and TRL cost nothing here.

`find("trl.GRPOConfig")` follows re-exports, lazy import tables and aliases to the class, and tells its fields.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from expctl.config import signature
from expctl.config.syntax import Import, Names, names_of, opaque, read


@dataclass(frozen=True)
class Module:
    """A module by its full name; `file` is None where there is no Python source, `folder` where it has no submodules."""

    name: str
    file: Path | None
    folder: Path | None
    search: tuple[Path, ...]

    @property
    def names(self) -> Names:
        try:
            return read(self.file) if self.file else Names()
        except (SyntaxError, UnicodeDecodeError):
            return Names()

    def submodule(self, name: str) -> "Module | None":
        return _module_in(self.folder, name, f"{self.name}.{name}", self.search) if self.folder else None

    def submodules(self) -> Iterator[str]:
        for entry in sorted(self.folder.iterdir()) if self.folder else ():
            if entry.suffix == ".py" and entry.stem != "__init__" or (entry / "__init__.py").is_file():
                yield entry.stem


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
            order = [known for known in order if known not in base.lineage] + base.lineage
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
    found = locate(dotted, search)
    return found if isinstance(found, Definition) else None


def locate(dotted: str, search: Iterable[Path] = ()) -> Definition | Missing:
    """The definition that `dotted` names, or how far the path leads."""
    first, *rest = dotted.split(".")
    here = top(first, tuple(search))
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


@lru_cache(maxsize=None)
def top(name: str, search: tuple[Path, ...] = ()) -> Module | None:
    """The module or package `name`: from a folder in `search`, else as installed."""
    for folder in search:
        module = _module_in(folder, name, name, search)
        if module and module.file:
            return module
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return next(filter(None, (_module_in(folder, name, name, search) for folder in search)), None)
    folder = next(iter(spec.submodule_search_locations or ()), None)
    file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return Module(name, file, Path(folder) if folder else None, search)


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
            source = _imported(module, binding)
            return member(source, binding.name, seen) if source and binding.name else source
        case ast.Name() | ast.Attribute():
            return expression(module, binding, seen)
    return Definition("value", name, module, binding)


def _imported(module: Module, statement: Import) -> Module | None:
    """The module that an import statement in `module` names."""
    parts = statement.module.split(".") if statement.module else []
    if statement.level:
        package = module.name.split(".") if module.folder else module.name.split(".")[:-1]
        parts = package[: len(package) - statement.level + 1] + parts
    here = top(parts[0], module.search) if parts else None
    for part in parts[1:]:
        here = here and here.submodule(part)
    return here


def _from_stars(module: Module, name: str, seen: frozenset) -> Module | Definition | None:
    """`name` through `from x import *`. In a long list only modules named like it are read: transformers has 546."""
    stars = module.names.stars
    if len(stars) > 50:
        plain = name.lower()
        stars = [star for star in stars if plain.startswith(star.module.lstrip("_").partition(".")[0].replace("_", ""))]
    for star in stars:
        source = None if name.startswith("_") else _imported(module, star)
        if source and (found := member(source, name, seen)):
            return found
    return None


def _class_member(definition: Definition, name: str) -> Definition | None:
    for owner in definition.lineage if definition.kind == "class" else ():
        for binding in owner.members.bound.get(name, []):
            if isinstance(binding, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                kind = "class" if isinstance(binding, ast.ClassDef) else "function"
                return Definition(kind, f"{owner.name}.{name}", owner.module, binding, holder=owner)
    return None


def _module_in(folder: Path, name: str, full: str, search: tuple[Path, ...]) -> Module | None:
    inner = folder / name
    if (inner / "__init__.py").is_file():
        return Module(full, inner / "__init__.py", inner, search)
    if (file := folder / f"{name}.py").is_file():
        return Module(full, file, None, search)
    return Module(full, None, inner, search) if inner.is_dir() else None


def _path(here: Module | Definition) -> str:
    return here.path if isinstance(here, Definition) else here.name


def _known(here: Module | Definition) -> list[str]:
    """The names that may follow `here` in a dotted path."""
    if isinstance(here, Definition):
        return [name for owner in here.lineage for name in owner.members.bound] if here.kind == "class" else []
    return [*here.names.bound, *here.submodules()]
