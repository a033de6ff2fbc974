"""`docs/api.md` is what `scripts/make_api_page.py` makes of the docstrings of today."""

import ast
import importlib.util

import pytest
from harness import REPOSITORY

ROOM = REPOSITORY / "expctl" / "algorithms"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_api_page", REPOSITORY / "scripts" / "make_api_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_docstrings_say(script):
    message = "docs/api.md is stale: python scripts/make_api_page.py"
    assert (REPOSITORY / "docs" / "api.md").read_text() == script.page(), message


def undocumented(body: list[ast.stmt], path: str) -> list[str]:
    names = []
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            names.append(f"{path}.{node.name}")
        if isinstance(node, ast.ClassDef):
            names += undocumented(node.body, f"{path}.{node.name}")
    return names


@pytest.mark.parametrize("room", ["algorithms", "verify"])
def test_public_names_have_docstrings(room):
    files = sorted((REPOSITORY / "expctl" / room).glob("*.py"))
    assert len(files) > 5
    assert [name for file in files for name in undocumented(ast.parse(file.read_text()).body, file.stem)] == []


def test_a_docstring_becomes_markdown(script):
    tree = ast.parse('''
def f(self, a: int, *more: str, b: float = 1.0, **others):
    """One sentence.

    Args:
        a, b: first
            and second.

    Raises:
        ValueError: never.

    Example:
        f(1)
    """
''')
    (chapter,) = script.described(tree)
    assert "f(a: int, *more: str, b: float = 1.0, **others)" in chapter
    assert "**Args**\n\n- `a`, `b`: first\n  and second.\n\n**Raises**\n\n- `ValueError`: never.\n" in chapter
    assert "**Example**\n\n    f(1)\n" in chapter


def test_a_class_is_shown_by_its_fields_its_constructor_or_its_bases(script):
    shown = script.described(
        ast.parse('''
@dataclass
class Config:
    """Fields."""

    size: int = 0


class Made:
    """Its own."""

    def __init__(self, size): ...


class Derived(Made):
    """Inherited."""


def _private():
    """Not shown."""
''')
    )
    assert [chapter.split("```")[1].strip() for chapter in shown] == [
        "python\nConfig(size: int = 0)",
        "python\nMade(size)",
        "python\nclass Derived(Made)",
    ]
