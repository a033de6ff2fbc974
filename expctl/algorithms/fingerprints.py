"""Fingerprints of the upstream code that the algorithms rely on: has it changed since they were tested?

Every part of `expctl.algorithms` overrides methods of TRL's and transformers' trainers, or counts on what they do and
in which order. `upstream.py` lists them with the reason; `fingerprints.json` holds a hash of what each one meant in the
versions that the tests ran on. Hashed is the syntax tree without docstrings, comments, annotations and formatting, read
from the source file: nothing is imported, and the hash is the same on every version of Python.
"""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Collection
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from expctl.algorithms.upstream import ALGORITHMS, LINEAGES, PARTS, Upstream

RECORD = Path(__file__).with_suffix(".json")
# Fields of a syntax tree that change nothing of what the code does: where a name is read or written follows from its
# place, an annotation is for the reader.
MEANINGLESS = ("ctx", "annotation", "returns", "type_comment", "type_params", "type_ignores", "kind", "simple")

# Installed version of a distribution; each is asked for once a process.
version = cache(metadata.version)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def check(algorithm: str) -> list[str]:
    """A sentence for each change of the upstream code that an algorithm of `upstream.ALGORITHMS` relies on.

    Raises:
        KeyError: the algorithm is not known.
    """
    return _sentences({part: PARTS[part].upstream for part in ALGORITHMS[algorithm]})


def warnings_for(*classes: type) -> list[str]:
    """`check` for trainer and callback classes, a user's own too: by the parts of ours that they derive from.

    Only what the class itself derives from counts: BEMA in front of `DPOTrainer` is not touched by a new `GRPOTrainer`.
    """
    mro = [ancestor for cls in classes for ancestor in cls.__mro__]
    return changes_below({f"{ancestor.__module__}.{ancestor.__qualname__}" for ancestor in mro})


def changes_below(ancestors: Collection[str]) -> list[str]:
    """`warnings_for` a class that derives from these classes, given by their dotted paths; nothing is imported."""
    ours = {path.rpartition(".")[2] for path in ancestors if path.startswith("expctl.")}
    dependencies = {}
    for name, part in PARTS.items():
        if name in ours:
            dependencies[name] = tuple(
                dependency
                for dependency in part.upstream
                if dependency.owner not in LINEAGES or dependency.owner in ancestors
            )
    return _sentences(dependencies)


def other_releases(ancestors: Collection[str]) -> list[str]:
    """A sentence for each library that these classes come from and that is installed in a release not tested."""
    tested = json.loads(RECORD.read_text(encoding="utf-8"))["versions"]
    libraries = {path.partition(".")[0] for path in ancestors} & tested.keys()
    return [
        f"tested on {library} {tested[library]}, and {version(library)} is installed"
        for library in sorted(libraries)
        if version(library) != tested[library]
    ]


def current() -> dict[str, str | None]:
    """The hash of everything listed in `upstream.py`, as installed; None for what is not there."""
    listed = {str(dependency): dependency for part in PARTS.values() for dependency in part.upstream}
    return {path: fingerprint(dependency) for path, dependency in sorted(listed.items())}


@cache
def fingerprint(dependency: Upstream) -> str | None:
    """The hash of one method, function, or list of base classes; None if there is none of this name.

    A method is looked for along the lineage of its class, and the class where it was found is part of the hash: an
    override that comes in between changes what happens even if the old method stays.
    """
    owner = _owner_of(dependency)
    if owner is None:
        return None
    return hashlib.sha256(f"{owner} {meaning(_find(owner, dependency.name))}".encode()).hexdigest()[:16]


def _owner_of(dependency: Upstream) -> str | None:
    """The class, along the lineage, that defines it in the installed versions."""
    for owner in LINEAGES.get(dependency.owner, (dependency.owner,)):
        if _find(owner, dependency.name) is not None:
            return owner
    return None


def meaning(node: object) -> str:
    """What code does, as text: its syntax tree without docstrings, comments, annotations and formatting."""
    if isinstance(node, list):
        return "[" + " ".join(map(meaning, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        node = ast.Assign([node.target], node.value)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(value, list):
            value = _without_strings(value)
        # Later versions of Python have more fields; where they are empty they mean what their absence meant.
        if name not in MEANINGLESS and value is not None and value != []:
            parts.append(f"{name}={meaning(value)}")
    return f"{type(node).__name__}({' '.join(parts)})"


def _without_strings(body: list[Any]) -> list[Any]:
    """Statements without docstrings, and without the `pass` that a docstring makes optional."""

    def does_nothing(statement: object) -> bool:
        return isinstance(statement, ast.Pass) or (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        )

    return [statement for statement in body if not does_nothing(statement)]


def _sentences(upstream: dict[str, tuple[Upstream, ...]]) -> list[str]:
    tested = json.loads(RECORD.read_text(encoding="utf-8"))
    users: dict[Upstream, list[str]] = {}
    for part, dependencies in upstream.items():
        for dependency in dependencies:
            names = users.setdefault(dependency, [])
            if PARTS[part].algorithm not in names:
                names.append(PARTS[part].algorithm)
    sentences = []
    for dependency, names in users.items():
        current_hash = fingerprint(dependency)
        if current_hash != tested["fingerprints"].get(str(dependency)):
            sentences.append(f"{_changed(dependency, current_hash, tested)}; {_listed(names)} not tested on it")
    return sentences


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _changed(dependency: Upstream, current_hash: str | None, tested: dict[str, Any]) -> str:
    # A method that TRL's trainer inherits from transformers' is transformers' to change.
    package = (_owner_of(dependency) or dependency.owner).partition(".")[0]
    before, installed = tested["versions"][package], version(package)
    if current_hash is None:
        return f"{dependency.label} is gone from {package} {installed} ({package} {before} had it)"
    if installed == before:
        return f"{dependency.label} is not the one of {package} {before} as released: its source was changed"
    return f"{dependency.label} changed between {package} {before} and {installed}"


def _find(owner: str, name: str) -> ast.AST | list[ast.expr] | None:
    """The definition `name` in a class or module `owner`; for `"bases"` the base classes of `owner`."""
    functions = _definitions(owner)
    if functions is not None:
        return functions.get(name)
    module, _, class_name = owner.rpartition(".")
    definition = (_definitions(module) or {}).get(class_name)
    if not isinstance(definition, ast.ClassDef):
        return None
    if name == "bases":
        return definition.bases
    return _by_name(definition.body).get(name)


@cache
def _definitions(module: str) -> dict[str, Definition] | None:
    """The functions and classes at the top of a module's file, or None where there is no such file."""
    package, *inner = module.split(".")
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *inner)
        file = path.with_name(f"{path.name}.py") if inner else path / "__init__.py"
        file = path / "__init__.py" if (path / "__init__.py").is_file() else file
        if file.is_file():
            return _by_name(ast.parse(file.read_text(encoding="utf-8")).body)
    return None


def _by_name(body: list[ast.stmt]) -> dict[str, Definition]:
    """Named definitions of a body, those under `if` and `try` too; a later one of the same name counts."""
    definitions: dict[str, Definition] = {}
    for statement in body:
        if isinstance(statement, Definition):
            definitions[statement.name] = statement
        elif isinstance(statement, ast.If | ast.Try):
            definitions |= _by_name([*statement.body, *statement.orelse])
    return definitions
