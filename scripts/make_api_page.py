"""Write `docs/api.md` from the docstrings of `expctl.algorithms`, which are read and not imported."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ROOM, PAGE = REPOSITORY / "expctl" / "algorithms", REPOSITORY / "docs" / "api.md"
HEAD = """# `expctl.algorithms`

A library by itself: it needs torch, transformers, trl and accelerate, and nothing else of expctl. How the parts work
together: [The algorithms together](algorithms.md). This page is written by `scripts/make_api_page.py`.

Shapes: B rows of a rank, N rows of all ranks, T tokens of the longest completion, P of the longest prompt, F reward
functions, G completions of a prompt, of which k are kept.
"""
INTERNAL = ("fingerprints", "upstream")  # what the worker and `expctl verify` ask
SECTION = re.compile(r"(Args|Raises|Returns|Example)\b.*:$")
ITEM = re.compile(r" {4}(\S[^:]*): (.*)$")
Callable = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for file in sorted(ROOM.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if tree.body and file.stem not in INTERNAL:
            parts += [f"## `{file.stem}`\n\n{prose(tree)}", *described(tree)]
    return "\n".join(parts)


def described(tree: ast.Module) -> Iterator[str]:
    """A chapter for each public class, with its methods, and for each public function of a module."""
    for node in public(tree.body):
        if not isinstance(node, ast.ClassDef):
            yield f"### `{node.name}`\n\n{declaration(node)}\n{prose(node)}"
            continue
        yield f"### `{node.name}`\n\n{constructor(node)}\n{prose(node)}"
        for method in public(node.body):
            yield f"#### `{node.name}.{method.name}`\n\n{declaration(method)}\n{prose(method)}"


def public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | Callable]:
    """Documented classes and functions whose names do not begin with an underscore, `__call__` among them."""
    for node in body:
        if not isinstance(node, ast.ClassDef | Callable) or not ast.get_docstring(node):
            continue
        if node.name == "__call__" or not node.name.startswith("_"):
            yield node


def constructor(node: ast.ClassDef) -> str:
    """How a class is called, by its `__init__` or its fields; where these are inherited, its bases."""
    for statement in node.body:
        if isinstance(statement, Callable) and statement.name == "__init__":
            return code(node.name, parameters(statement))
    if any(ast.unparse(decorator).startswith("dataclass") for decorator in node.decorator_list):
        return code(node.name, [ast.unparse(field) for field in node.body if isinstance(field, ast.AnnAssign)])
    return code(f"class {node.name}", [ast.unparse(base) for base in node.bases])


def parameters(function: Callable) -> list[str]:
    """The parameters of a function as written, without `self`."""
    arguments = function.args
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + arguments.defaults
    pieces = [parameter(*pair) for pair in zip(arguments.args, defaults, strict=True)]
    if arguments.vararg:
        pieces.append(f"*{ast.unparse(arguments.vararg)}")
    elif arguments.kwonlyargs:
        pieces.append("*")
    pieces += [parameter(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        pieces.append(f"**{ast.unparse(arguments.kwarg)}")
    return [piece for piece in pieces if piece not in ("self", "cls")]


def parameter(argument: ast.arg, default: ast.expr | None) -> str:
    """`name: annotation = default`."""
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default else "")


def declaration(function: Callable) -> str:
    """A function's or method's declaration as a block of code; a property has no parentheses."""
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    if any("property" in ast.unparse(decorator) for decorator in function.decorator_list):
        return f"```python\n{function.name}{returns.replace(' ->', ':')}\n```\n"
    return code(function.name, parameters(function), returns)


def code(name: str, arguments: list[str], returns: str = "") -> str:
    """`name(arguments)` as a block of code, an argument a line where they do not fit one."""
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) > 110:
        line = f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){returns}"
    return f"```python\n{line}\n```\n"


def prose(node: ast.Module | ast.ClassDef | Callable) -> str:
    """A docstring as Markdown: `Args:` and `Raises:` as lists; what is indented else is code."""
    section, lines = "", []
    for line in (ast.get_docstring(node) or "").splitlines():
        item = ITEM.match(line)
        if SECTION.match(line):
            section = line.partition(":")[0].split()[0]
            lines += [f"**{line[:-1]}**", ""]
        elif not line:
            section = ""
            lines.append("")
        elif section in ("Args", "Raises") and item:
            lines.append(f"- `{item[1].replace(', ', '`, `')}`: {item[2]}")
        else:
            lines.append(line if section in ("", "Example") else f"  {line.strip()}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
