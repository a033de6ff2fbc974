"""Runs a program against its tests, and compares what it prints or returns; no expected value goes inside."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from expctl.rewards.code_tests import Asserts, Calls, Programs, Suite
from expctl.rewards.sandbox.processes import Limits, Process, TimeOverError, tests_and_solution
from expctl.rewards.sandbox.wire import ARRAY, ClosedError, decode, encode

CLOSE = 1e-6  # numbers with a decimal point, relative and absolute


def passed_tests(program: str, suite: Suite, limit: Limits, *, to_the_first: bool = False) -> tuple[int, int]:
    """How many tests a program passes, and how many there are.

    What comes after the first test that runs out of time, or ends the process of a solution, counts as failed.

    Args:
        program: source of Python.
        suite: its tests.
        limit: what it may take.
        to_the_first: stop at the first test that fails.
    """
    count = suite.count
    passed = 0
    try:
        compile(program, "solution.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0, count
    try:
        for is_right in _verdicts(program, suite, limit):
            passed += is_right
            if to_the_first and not is_right:
                break
    except (TimeOverError, ClosedError):
        pass
    return passed, count


def _verdicts(program: str, suite: Suite, limit: Limits) -> Iterator[bool]:
    """Whether each test is passed, one after another.

    Raises:
        TimeOverError, ClosedError: there is no verdict on the next one, nor on those behind it.
    """
    if isinstance(suite, Programs):
        yield from _of_programs(program, suite, limit)
    elif isinstance(suite, Calls):
        yield from _of_calls(program, suite, limit)
    else:
        yield from _of_asserts(program, suite, limit)


def _of_programs(program: str, suite: Programs, limit: Limits) -> Iterator[bool]:
    with Process("programs", limit, program=program) as process:
        for given, expected in suite.cases:
            process.send({"input": given}, limit.wall)
            outcome = process.receive(1.0 + limit.wall)  # it notices first
            if outcome["ended"] == "late":
                raise TimeOverError
            yield outcome["ended"] == "well" and same_output(outcome["output"], expected)


def _of_calls(program: str, suite: Calls, limit: Limits) -> Iterator[bool]:
    limit = replace(limit, seconds=limit.seconds * (1 + len(suite.cases)))
    with Process("solution", limit, program=program) as process:
        names = process.receive(limit.wall).get("names")
        if not isinstance(names, dict):
            return
        of = None
        if suite.name not in names and "Solution" in names:
            process.send({"do": "call", "of": None, "name": "Solution"}, limit.wall)
            of = _number(process.receive(limit.wall).get("value"))
        for arguments, expected in suite.cases:
            asked = [encode(argument, _no_handle) for argument in arguments]
            process.send({"do": "call", "of": of, "name": suite.name, "args": asked}, limit.wall)
            reply = process.receive(limit.wall)
            yield "value" in reply and same_value(decode(reply["value"], _opaque), expected)


def _of_asserts(program: str, suite: Asserts, limit: Limits) -> Iterator[bool]:
    limit = replace(limit, seconds=limit.seconds * (1 + len(suite.sources)))
    told = {"tests": suite.sources, "setup": suite.setup, "entry_point": suite.entry_point}
    with tests_and_solution(limit, program, told) as process:
        for _ in suite.sources:
            yield process.receive(limit.wall).get("passed") is True


def same_output(printed: str, expected: str) -> bool:
    """Whether two outputs are the same, line by line and word by word.

    Spaces at ends of lines and empty lines at the end do not count. A number with a decimal point is the same as one
    that is close to it.
    """
    left, right = _lines(printed), _lines(expected)
    return left == right or (len(left) == len(right) and all(map(_same_line, left, right)))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _same_line(printed: str, expected: str) -> bool:
    left, right = printed.split(), expected.split()
    return len(left) == len(right) and all(map(_same_word, left, right))


def _same_word(printed: str, expected: str) -> bool:
    if printed == expected:
        return True
    if "." not in expected and "e" not in expected:
        return False
    try:
        return math.isclose(float(printed), float(expected), rel_tol=CLOSE, abs_tol=CLOSE)
    except ValueError:
        return False


def same_value(returned: Any, expected: Any) -> bool:
    """Whether a returned value is the expected one of a JSON file, in which tuples are lists.

    Some files have each expected value in a list of its own.
    """
    if _equal(returned, expected):
        return True
    return isinstance(expected, list) and len(expected) == 1 and _equal(returned, expected[0])


def _equal(returned: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(returned, int | float) and not isinstance(returned, bool):
        return math.isclose(returned, expected, rel_tol=CLOSE, abs_tol=CLOSE)
    if isinstance(expected, list) and isinstance(returned, list | tuple):
        return len(returned) == len(expected) and all(map(_equal, returned, expected))
    if isinstance(expected, dict) and isinstance(returned, dict):
        renamed = {str(key): value for key, value in returned.items()}
        return renamed.keys() == expected.keys() and all(_equal(renamed[key], expected[key]) for key in expected)
    return bool(returned == expected) and isinstance(returned, bool) == isinstance(expected, bool)


def _number(node: Any) -> int:
    """The number of an object that was handed out. Raise ClosedError where it is none."""
    if not isinstance(node, dict) or not isinstance(node.get("of"), int):
        raise ClosedError("no object")
    number: int = node["of"]
    return number


def _opaque(node: dict[str, Any]) -> object:
    """An array as the list that a JSON file has of it; an object of the solution's own equals nothing."""
    return decode(node.get("of"), _opaque) if node.get("type") == ARRAY else object()


def _no_handle(value: Any) -> dict[str, Any]:
    raise TypeError(f"a {type(value).__name__} cannot be an argument")
