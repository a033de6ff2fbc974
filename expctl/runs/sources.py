"""The user's own code that an experiment runs: its files, and the copy of them that a run keeps."""

import ast
import hashlib
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from expctl.base.masking import masked_bytes
from expctl.base.modules import module_in


def user_sources(config: Any, folders: Sequence[Path]) -> dict[str, Path]:
    """Relative name -> file, sorted, of the user's modules that the config names and of what they import in turn.

    `folders`: where modules are looked for, as Python does; the first that has one counts.
    """
    sources: dict[str, Path] = {}
    wanted, seen = _dotted_paths(config), set()
    while wanted:
        path = wanted.pop()
        if path in seen or path.partition(".")[0] == "expctl":  # its version is in the manifest
            continue
        seen.add(path)
        for folder in folders:
            files = _files_of(path, folder)
            for file in files:
                name = file.relative_to(folder).as_posix()
                if name not in sources:
                    sources[name] = file
                    wanted += _imports(file, name)
            if files:
                break
    return dict(sorted(sources.items()))


def digests(sources: dict[str, Path]) -> dict[str, str]:
    """Relative name -> SHA-256 of the content."""
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in sources.items()}


def keep(sources: dict[str, Path], folder: Path) -> list[str]:
    """Copy sources into a run's folder; the names of those in which a secret had to be masked."""
    altered = []
    for name, file in sources.items():
        content = file.read_bytes()
        kept = masked_bytes(content)
        if kept != content:
            altered.append(name)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(kept)
    return altered


def _files_of(path: str, folder: Path) -> list[Path]:
    """The file of the module that a dotted path leads to, all files of a package; none when it is not in the folder."""
    for part in path.split("."):
        module = module_in(folder, part)
        if module is None:
            return []
        if module.file is not None:
            return sorted(module.folder.rglob("*.py")) if module.folder else [module.file]
        folder = module.folder or folder
    return []


def _imports(file: Path, name: str) -> list[str]:
    """Dotted paths of everything a file imports, wherever in it; none of a file that is no Python."""
    try:
        with warnings.catch_warnings(action="ignore"):  # its author will hear of it from Python
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return []
    package = name.removesuffix(".py").split("/")
    return [path for node in ast.walk(tree) for path in _imported(node, package)]


def _imported(node: ast.AST, module: list[str]) -> Iterable[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = module[: -node.level] if node.level else []
        base = [*above, *(node.module or "").split(".")]
        return [".".join(filter(None, [*base, alias.name])) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
        return [each.value for each in node.args[:1] if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return []


def _dotted_paths(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [path for value in node.values() for path in _dotted_paths(value)]
    if isinstance(node, list):
        return [path for value in node for path in _dotted_paths(value)]
    # `module.function`, and `module:function` as entry points are written.
    is_dotted = isinstance(node, str) and re.fullmatch(r"\w+(\.\w+)*([.:]\w+)+", node)
    return [node.replace(":", ".")] if is_dotted else []
