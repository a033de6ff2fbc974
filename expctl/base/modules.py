"""Where the file of a module is, found by path: nothing is imported, not even the packages above it."""

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

# Packages whose trainers and arguments are known.
_KNOWN = ("expctl.", "trl.")


def is_known(path: str) -> bool:
    """Whether a dotted path names something of expctl or TRL, and not of the user's own."""
    return path.startswith(_KNOWN)


@dataclass(frozen=True)
class Module:
    """A module by its full name.

    Args:
        name: the full dotted name.
        file: the Python source; None for a compiled module and for a package without `__init__.py`.
        folder: where the submodules are; None where the module is no package.
        search: folders whose modules go before the installed ones.
    """

    name: str
    file: Path | None
    folder: Path | None
    search: tuple[Path, ...] = ()

    def submodule(self, name: str) -> "Module | None":
        """The module or package `name` inside this package."""
        module = module_in(self.folder, name) if self.folder else None
        return replace(module, name=f"{self.name}.{name}", search=self.search) if module else None

    def submodules(self) -> Iterator[str]:
        """The names of the modules and packages inside this package, sorted."""
        for entry in sorted(self.folder.iterdir()) if self.folder else ():
            if entry.suffix == ".py" and entry.stem != "__init__" or (entry / "__init__.py").is_file():
                yield entry.stem


@cache
def find_module(name: str, search: tuple[Path, ...] = ()) -> Module | None:
    """The module or package at the top level that `import name` would load, with `search` before the installed ones.

    A folder without `__init__.py` in `search` counts only where nothing of that name is installed.
    """
    own = [module for module in (module_in(folder, name) for folder in search) if module]
    with_source = [module for module in own if module.file]
    module = with_source[0] if with_source else _installed(name)
    if module is None and own:
        module = own[0]
    return replace(module, search=search) if module else None


def module_in(folder: Path, name: str) -> Module | None:
    """The module or package `name` in a folder; any folder of that name is a package, as it is for Python."""
    package, file = folder / name, folder / f"{name}.py"
    try:
        if (package / "__init__.py").is_file():
            return Module(name, package / "__init__.py", package)
        if file.is_file():
            return Module(name, file, None)
        return Module(name, None, package) if package.is_dir() else None
    except OSError:  # the name is longer than a file name may be
        return None


def installed_file(name: str, without: Iterable[Path]) -> Path | None:
    """The file of the module `name` at the top level that Python finds when some folders are not on its path."""
    entries = [entry for entry in sys.path if Path(entry).resolve() not in without]
    spec = PathFinder.find_spec(name, entries)
    return Path(spec.origin).resolve() if spec and spec.origin else None


def _installed(name: str) -> Module | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, OSError, ValueError):
        return None
    if spec is None:
        return None
    folder = next(iter(spec.submodule_search_locations or ()), None)
    file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return Module(name, file, Path(folder) if folder else None)
