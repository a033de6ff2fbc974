"""A Python file as a table of the names it binds, read without importing it."""

import ast
import re
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


@dataclass
class Names:
    """What a module or a class body binds: a name to its bindings, the one to believe first; and its star imports.

    A binding is a class, a function, an import, or the expression assigned.
    """

    bound: dict[str, list[ast.AST | Import]] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)


@cache
def read(file: Path) -> Names:
    """The names that `file` binds. Raises SyntaxError where the file is no Python."""
    return names_of(parse(file).body)


@cache
def parse(file: Path) -> ast.Module:
    """The syntax tree of `file` without the bodies of its functions, which take most of the time to parse."""
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

    It goes by indentation alone, so in rare files the result is no Python; then the whole source has to be parsed.
    """
    kept: list[str] = []
    brackets = 0  # open ones in the signature being read
    function = body = None  # indentation of the function whose signature is being read, whose body is being left out
    for line in source.split("\n"):
        text = line.lstrip()
        if body is not None:
            if not text or text[0] == "#" or len(line) - len(text) > body:
                kept.append("")
                continue
            body = None
        if function is None and (match := _FUNCTION.match(line)) and match[2] != "__init__":
            function, brackets = len(match[1]), 0
        if function is not None:
            brackets += sum(map(line.count, "([{")) - sum(map(line.count, ")]}"))
            if brackets <= 0:
                if end := _SIGNATURE_END.search(line):
                    line = line[: end.start()] + ": pass"
                    body = function
                function = None
        kept.append(line)
    return "\n".join(kept)


def names_of(body: list[ast.stmt]) -> Names:
    """The names bound by statements, also those under `if`, `try` and `with`."""
    names = Names()
    _collect(body, names, conditional=False)
    return names


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
            if not conditional and not (known and opaque(binding)):
                known.clear()  # the last word, unless it is `X = decorate(X)`
            known.append(binding)


def _bindings(statement: ast.stmt, names: Names):
    """Pairs of a name and what `statement` binds it to; star imports go to `names.stars`."""
    match statement:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield statement.name, statement
        case ast.Import():
            for alias in statement.names:
                yield (
                    alias.asname or alias.name.partition(".")[0],
                    Import(alias.name if alias.asname else alias.name.partition(".")[0]),
                )
        case ast.ImportFrom():
            for alias in statement.names:
                imported = Import(statement.module or "", alias.name, statement.level)
                if alias.name == "*":
                    names.stars.append(imported)
                else:
                    yield alias.asname or alias.name, imported
        case ast.Assign(targets=[ast.Name(id="_import_structure")], value=ast.Dict() as table):
            yield from _lazy_table(table)
        case ast.Assign():
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value


def _lazy_table(table: ast.Dict):
    """The imports in `_import_structure = {"module": ["Name", ...]}`, the lazy table of transformers and TRL."""
    for key, value in zip(table.keys, table.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.List):
            for item in value.elts:
                if isinstance(item, ast.Constant):
                    yield item.value, Import(key.value, item.value, level=1)


def opaque(binding: ast.AST | Import) -> bool:
    return isinstance(binding, ast.expr) and not isinstance(binding, ast.Name | ast.Attribute)
