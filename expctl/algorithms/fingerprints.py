"""Whether the ground still stands where the algorithms were tested: fingerprints of the upstream code they rely on.

Every part of `expctl.algorithms` overrides methods of TRL's and transformers' trainers, or counts on what they do and
in which order. `upstream.py` lists them with the reason; `fingerprints.json` holds a hash of what each one meant in the
versions that the tests ran on. Hashed is the syntax tree without docstrings, comments, annotations and formatting, read
from the source file: nothing is imported, and the hash is the same on every version of Python.
"""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from expctl.algorithms.upstream import ALGORITHMS, LINEAGES, PARTS, Upstream

RECORD = Path(__file__).with_suffix(".json")
# Fields of a syntax tree that change nothing of what the code does: where a name is read or written follows from its
# place, an annotation is for the reader.
MEANINGLESS = ("ctx", "annotation", "returns", "type_comment", "type_params", "type_ignores", "kind", "simple")


def check(algorithm: str) -> list[str]:
    """What has changed under an algorithm of `upstream.ALGORITHMS`, a sentence each; empty when nothing has.

    Raises:
        KeyError: the algorithm is not known.
    """
    return _sentences({part: PARTS[part].upstream for part in ALGORITHMS[algorithm]})


def warnings_for(*classes: type) -> list[str]:
    """`check` for trainer and callback classes, a user's own too: by the parts of ours that they derive from.

    Only what the class itself derives from counts: BEMA in front of `DPOTrainer` is not touched by a new `GRPOTrainer`.
    """
    names = {f"{each.__module__}.{each.__qualname__}" for cls in classes for each in cls.__mro__}
    ours = {name.rpartition(".")[2] for name in names if name.startswith("expctl.")}
    return _sentences(
        {
            part: tuple(one for one in PARTS[part].upstream if one.owner not in LINEAGES or one.owner in names)
            for part in PARTS
            if part in ours
        }
    )


def current() -> dict[str, str | None]:
    """The hash of everything listed in `upstream.py`, as installed; None for what is not there."""
    listed = {str(one): one for part in PARTS.values() for one in part.upstream}
    return {path: fingerprint(one) for path, one in sorted(listed.items())}


def fingerprint(one: Upstream) -> str | None:
    """The hash of one method, function, or list of base classes; None if there is none of this name.

    A method is looked for along the lineage of its class, and the class where it was found is part of the hash: an
    override that comes in between changes what happens even if the old method stays.
    """
    owner = _owner_of(one)
    if owner is None:
        return None
    return hashlib.sha256(f"{owner} {meaning(_find(owner, one.name))}".encode()).hexdigest()[:16]


def _owner_of(one: Upstream) -> str | None:
    """The class, along the lineage, that defines it in the installed versions."""
    for owner in LINEAGES.get(one.owner, (one.owner,)):
        if _find(owner, one.name) is not None:
            return owner
    return None


def meaning(node: ast.AST | list | object) -> str:
    """What code does, as text: its syntax tree without docstrings, comments, annotations and formatting."""
    if isinstance(node, list):
        return "[" + " ".join(meaning(each) for each in node) + "]"
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


def _without_strings(body: list) -> list:
    """Statements without docstrings, and without the `pass` that a docstring makes optional."""

    def idle(each):
        return isinstance(each, ast.Pass) or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))

    return [each for each in body if not idle(each)]


def _sentences(upstream: dict[str, tuple[Upstream, ...]]) -> list[str]:
    tested = json.loads(RECORD.read_text(encoding="utf-8"))
    users: dict[Upstream, list[str]] = {}
    for part, listed in upstream.items():
        for one in listed:
            names = users.setdefault(one, [])
            names += [PARTS[part].algorithm] if PARTS[part].algorithm not in names else []
    found = {one: fingerprint(one) for one in users}
    return [
        f"{_changed(one, found[one], tested)}; {_listed(names)} not proven on it"
        for one, names in users.items()
        if found[one] != tested["fingerprints"].get(str(one))
    ]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _changed(one: Upstream, now: str | None, tested: dict) -> str:
    # A method that TRL's trainer inherits from transformers' is transformers' to change.
    package = (_owner_of(one) or one.owner).partition(".")[0]
    before, installed = tested["versions"][package], version(package)
    if now is None:
        return f"{one.label} is gone from {package} {installed} ({package} {before} had it)"
    if installed == before:
        return f"{one.label} is not the one of {package} {before} as released: its source was changed"
    return f"{one.label} changed between {package} {before} and {installed}"


def _find(owner: str, name: str) -> ast.AST | list | None:
    """The definition `name` in a class or module `owner`; for `"bases"` the base classes of `owner`."""
    module, _, holder = owner.rpartition(".")
    body = _definitions(owner)
    if body is None:
        classes = _definitions(module) or {}
        if not isinstance(classes.get(holder), ast.ClassDef):
            return None
        if name == "bases":
            return classes[holder].bases
        body = {each.name: each for each in _functions(classes[holder].body)}
    return body.get(name)


@cache
def _definitions(module: str) -> dict[str, ast.AST] | None:
    """The functions and classes at the top of a module's file, or None where there is no such file."""
    package, *inner = module.split(".")
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *inner)
        file = path.with_name(f"{path.name}.py") if inner else path / "__init__.py"
        file = path / "__init__.py" if (path / "__init__.py").is_file() else file
        if file.is_file():
            tree = ast.parse(file.read_text(encoding="utf-8"))
            return {each.name: each for each in _functions(tree.body, ast.ClassDef)}
    return None


def _functions(body: list, *kinds: type) -> Iterator[ast.AST]:
    """Named definitions of a body, those under `if` and `try` too (a later one of the same name counts)."""
    for each in body:
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, *kinds)):
            yield each
        elif isinstance(each, ast.If | ast.Try):
            yield from _functions([*each.body, *each.orelse], *kinds)
