"""Where the file of a module is, found by path: nothing is imported, not even the packages above it."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from expctl.config.source.syntax import Import, Names, read

LONGEST_NAME = 200  # a file system refuses to look for longer ones


@dataclass(frozen=True)
class Module:
    """A module by its full name; `file` is None where it has no Python source, `folder` where it has no submodules."""

    name: str
    file: Path | None
    folder: Path | None
    search: tuple[Path, ...]

    @property
    def names(self) -> Names:
        return read(self.file) if self.file else Names()

    def submodule(self, name: str) -> "Module | None":
        return _module_in(self.folder, name, f"{self.name}.{name}", self.search) if self.folder else None

    def submodules(self) -> Iterator[str]:
        for entry in sorted(self.folder.iterdir()) if self.folder else ():
            if entry.suffix == ".py" and entry.stem != "__init__" or (entry / "__init__.py").is_file():
                yield entry.stem


@cache
def top(name: str, search: tuple[Path, ...] = ()) -> Module | None:
    """The module or package `name`: from a folder in `search`, else as installed."""
    for folder in search:
        module = _module_in(folder, name, name, search)
        if module and module.file:
            return module
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, OSError, ValueError):
        return None
    if spec is None:
        return next(filter(None, (_module_in(folder, name, name, search) for folder in search)), None)
    folder = next(iter(spec.submodule_search_locations or ()), None)
    file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return Module(name, file, Path(folder) if folder else None, search)


def imported(module: Module, statement: Import) -> Module | None:
    """The module that an import statement in `module` names."""
    parts = statement.module.split(".") if statement.module else []
    if statement.level:
        package = module.name.split(".") if module.folder else module.name.split(".")[:-1]
        parts = package[: len(package) - statement.level + 1] + parts
    here = top(parts[0], module.search) if parts else None
    for part in parts[1:]:
        here = here and here.submodule(part)
    return here


def _module_in(folder: Path, name: str, full: str, search: tuple[Path, ...]) -> Module | None:
    if len(name) > LONGEST_NAME:
        return None
    inner = folder / name
    if (inner / "__init__.py").is_file():
        return Module(full, inner / "__init__.py", inner, search)
    if (file := folder / f"{name}.py").is_file():
        return Module(full, file, None, search)
    return Module(full, None, inner, search) if inner.is_dir() else None
