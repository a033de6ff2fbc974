"""Leaving out function bodies saves most of the time of parsing and loses no name."""

import ast

import pytest

from expctl.config.source.lookup import find
from expctl.config.source.syntax import names_of, skeleton


@pytest.mark.parametrize("path", ["trl.GRPOTrainer", "transformers.TrainingArguments", "torch.optim.AdamW"])
def test_leaving_function_bodies_out_changes_no_name_and_no_signature(path):
    text = find(path).file.read_text()
    assert len(skeleton(text).split("\n")) == len(text.split("\n"))
    assert outline(ast.parse(skeleton(text))) == outline(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "def f(): return 1\nclass A:\n    x = 1\n",
        "def f(\n    a=')',\n):\n    return 1\nx = 2\n",
        "def f(a):  # (an open bracket\n    if a:\n\n        return 1\n    # end\nx = 2\n",
        "class A:\n    async def f(self) -> int:\n        return 1\n    x: int = 2\n",
        "if x:\n    def f():\n        pass\nelse:\n    y = 1\n",
    ],
)
def test_leaving_function_bodies_out_of_odd_code_changes_no_name(text):
    assert outline(ast.parse(skeleton(text))) == outline(ast.parse(text))


def outline(tree):
    """Names, lines and signatures of a module and its classes."""
    found = {}
    for name, bindings in names_of(tree.body).bound.items():
        for node in bindings:
            found[name] = (type(node).__name__, getattr(node, "lineno", 0))
            if isinstance(node, ast.ClassDef):
                found[name] += (outline(node),)
            if isinstance(node, ast.FunctionDef):
                found[name] += (ast.dump(node.args),)
    return found
