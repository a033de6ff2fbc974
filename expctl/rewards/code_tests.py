"""The tests of a programming task, in the forms that data sets have them: one value of a row, recognised and sorted."""

import ast
import json
from dataclasses import dataclass
from typing import Any

PYTHON = ("python", "python3", "py")
FORMS = (
    "asserts as text or a list of them (HumanEval, MBPP), {inputs, outputs, fn_name} (APPS, TACO), or a list of "
    "{input, output} (verifiable coding problems), each also as JSON"
)


@dataclass(frozen=True)
class Programs:
    """Inputs of a program, each with what it must print."""

    cases: list[tuple[str, str]]

    @property
    def count(self) -> int:
        """How many tests there are."""
        return len(self.cases)


@dataclass(frozen=True)
class Calls:
    """Arguments of a function, each list with what it must return."""

    name: str
    cases: list[tuple[list[Any], Any]]

    @property
    def count(self) -> int:
        """How many tests there are."""
        return len(self.cases)


@dataclass(frozen=True)
class Asserts:
    """Sources that raise where the solution is wrong, and what is run before them."""

    sources: list[str]
    setup: str = ""
    entry_point: str | None = None

    @property
    def count(self) -> int:
        """How many tests there are."""
        return len(self.sources)


Suite = Programs | Calls | Asserts


def recognised(tests: Any, setup: str | None = None, entry_point: str | None = None) -> Suite:
    """The tests of a row.

    Args:
        tests: in any of `FORMS`.
        setup: run before asserts, such as imports.
        entry_point: the function that a `check(candidate)` is given.

    Raises:
        ValueError: no such form, no test in it, or tests of another language.
    """
    if isinstance(tests, str):
        return _of_text(tests, setup, entry_point)
    node = tests if isinstance(tests, dict) else {}
    if "test_cases" in node:
        language = str(node.get("language") or PYTHON[0]).lower()
        if language not in PYTHON:
            raise ValueError(f"the tests are of {language}, and only Python is run")
        return recognised(node["test_cases"], setup, entry_point or node.get("fn_name"))
    if "inputs" in node and "outputs" in node:
        rows = zip(_listed(node["inputs"]), _listed(node["outputs"]), strict=True)
        return _of_pairs([{"input": given, "output": output} for given, output in rows], node.get("fn_name"))
    if isinstance(tests, list) and tests and all(isinstance(test, str) for test in tests):
        return Asserts([_checked(test) for test in tests], setup or "", entry_point)
    if isinstance(tests, list) and tests and all(isinstance(test, dict) for test in tests):
        return _of_pairs(tests, entry_point)
    raise ValueError(f"the tests are {_shown(tests)}; known are {FORMS}")


def _of_text(text: str, setup: str | None, entry_point: str | None) -> Suite:
    try:
        parsed = json.loads(text)
    except ValueError:
        return Asserts([_checked(text)], setup or "", entry_point)
    if isinstance(parsed, str) or not parsed:
        raise ValueError(f"the tests are {_shown(text)}; known are {FORMS}")
    return recognised(parsed, setup, entry_point)


def _checked(source: str) -> str:
    """A source that can fail. Raise ValueError where it is no Python or has no test."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"the tests are no Python (line {error.lineno}: {error.msg}): {_shown(source)}") from error
    if not any(isinstance(node, ast.Assert | ast.Raise) or _asserts(node) for node in ast.walk(tree)):
        raise ValueError(f"the tests assert nothing: {_shown(source)}")
    return source


def _asserts(node: ast.AST) -> bool:
    """Whether it is a method of unittest or numpy that asserts."""
    return isinstance(node, ast.Attribute) and node.attr.lower().startswith("assert")


def _of_pairs(tests: list[dict[str, Any]], name: str | None) -> Suite:
    """Programs, or calls where a function is named."""
    if not tests or not all("input" in test and "output" in test for test in tests):
        raise ValueError(f"the tests are {_shown(tests)}; known are {FORMS}")
    name = name or tests[0].get("fn_name")
    if not name:
        return Programs([(_joined(test["input"]), _joined(test["output"])) for test in tests])
    return Calls(str(name), [(_arguments(test["input"]), test["output"]) for test in tests])


def _arguments(given: Any) -> list[Any]:
    """The arguments of a call: a list of them, or as text one in JSON a line."""
    if isinstance(given, str):
        return [json.loads(line) for line in given.splitlines() if line.strip()]
    return given if isinstance(given, list) else [given]


def _joined(text: Any) -> str:
    """A text, or one of its lines."""
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}..."
