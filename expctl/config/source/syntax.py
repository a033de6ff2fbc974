"""A Python file as a table of the names it binds, read without importing it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_FUNCTION = re.compile(r"(\s*)(?:async\s+)?def\s+(\w+)")
_SIGNATURE_END = re.compile(r":\s*(?:#.*)?$")


@dataclass(frozen=True)
class Import:
    """`from <level dots><module> import <name>`, or `import <module>` where `name` is None."""

    module: str
    name: str | None = None
    level: int = 0


Function = ast.FunctionDef | ast.AsyncFunctionDef
# A class, a function, an import, or the expression assigned.
Binding = ast.ClassDef | Function | ast.expr | Import


@dataclass
class Names:
    """What a module or a class body binds: each name with its bindings, the most credible first; and star imports."""

    bound: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)


@cache
def read(file: Path) -> Names:
    """The names that `file` binds.

    Raises:
        SyntaxError: the file is no Python.
    """
    return names_of(parse(file).body)


def parse(file: Path) -> ast.Module:
    """The syntax tree of `file` without the bodies of its functions, which take most of the time to parse.

    Raises:
        SyntaxError: the file is no Python.
    """
    try:
        source = file.read_text(encoding="utf-8")
        try:
            return ast.parse(skeleton(source))
        except SyntaxError:  # a string whose text is indented less than the function around it
            return ast.parse(source, filename=str(file))
    except ValueError as error:  # no text in UTF-8, or a null byte in it
        raise SyntaxError(str(error), (str(file), 1, None, None)) from error


def skeleton(source: str) -> str:
    """`source` with every function body but `__init__`'s replaced by `pass`, line numbers kept.

    Bodies are recognized by their indentation alone, so in rare files the result is no Python; then the whole source
    has to be parsed.
    """
    lines: list[str] = []
    open_brackets = 0  # of the signature being read
    # Indentation of the function whose signature is being read, and of the one whose body is being left out.
    signature = body = None
    for line in source.split("\n"):
        text = line.lstrip()
        if body is not None:
            if not text or text[0] == "#" or len(line) - len(text) > body:
                lines.append("")
                continue
            body = None
        if signature is None:
            start = _FUNCTION.match(line)
            if start and start[2] != "__init__":
                signature, open_brackets = len(start[1]), 0
        if signature is not None:
            open_brackets += sum(map(line.count, "([{")) - sum(map(line.count, ")]}"))
            if open_brackets <= 0:
                end = _SIGNATURE_END.search(line)
                if end:
                    line = line[: end.start()] + ": pass"
                    body = signature
                signature = None
        lines.append(line)
    return "\n".join(lines)


def names_of(body: list[ast.stmt]) -> Names:
    """The names bound by statements, also those under `if`, `try` and `with`."""
    names = Names()
    _collect(body, names, conditional=False)
    return names


def is_opaque(binding: Binding) -> bool:
    """Whether only running the module would tell what the name is bound to."""
    return isinstance(binding, ast.expr) and not isinstance(binding, ast.Name | ast.Attribute)


def _collect(body: list[ast.stmt], names: Names, conditional: bool) -> None:
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for block in ("body", "orelse", "finalbody"):
                _collect(getattr(statement, block, []), names, conditional=True)
            for handler in getattr(statement, "handlers", []):
                _collect(handler.body, names, conditional=True)
            continue
        for name, binding in _bindings(statement, names):
            known = names.bound.setdefault(name, [])
            if not conditional and not (known and is_opaque(binding)):
                known.clear()  # the last binding counts, unless it is `X = decorate(X)`
            known.append(binding)


def _bindings(statement: ast.stmt, names: Names) -> Iterator[tuple[str, Binding]]:
    """Pairs of a name and what `statement` binds it to; star imports go to `names.stars`."""
    match statement:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield statement.name, statement
        case ast.Import():
            for alias in statement.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, Import(alias.name)) if alias.asname else (top, Import(top))
        case ast.ImportFrom():
            for alias in statement.names:
                imported = Import(statement.module or "", alias.name, statement.level)
                if alias.name == "*":
                    names.stars.append(imported)
                else:
                    yield alias.asname or alias.name, imported
        case ast.Assign(targets=[ast.Name(id="_import_structure")], value=ast.Dict() as table):
            yield from _lazy_imports(table)
        case ast.Assign():
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value


def _lazy_imports(table: ast.Dict) -> Iterator[tuple[str, Import]]:
    """The imports in `_import_structure = {"module": ["Name", ...]}`, the lazy table of transformers and TRL."""
    for key, value in zip(table.keys, table.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.List):
            for item in value.elts:
                if isinstance(item, ast.Constant):
                    yield str(item.value), Import(str(key.value), str(item.value), level=1)
