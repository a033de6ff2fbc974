"""The reward of a program: right programs pass, wrong ones fail, and no trick of a program passes for a right one."""

import json
from dataclasses import replace

import pytest

from expctl.rewards.code import PassedTests, program_of
from expctl.rewards.code_run import passed_tests, same_output
from expctl.rewards.code_tests import Asserts, Calls, Programs, recognised
from expctl.rewards.sandbox.processes import limits, open_doors

LIMITS = limits(2, 512)
DOORS = open_doors(LIMITS)
pytestmark = pytest.mark.skipif(bool(DOORS), reason=f"this kernel leaves open: {'; '.join(DOORS)}")

SUM = {"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34"]}
ADD = ["assert add(1, 2) == 3", "assert add('a', 'b') == 'ab'", "assert add([1], [2]) == [1, 2]"]
RIGHT = "def add(a, b):\n    return a + b"


def share(program, tests, **more):
    suite = recognised(tests, **more)
    passed, count = passed_tests(program, suite, LIMITS)
    return passed / count


def test_programs_are_scored_by_what_they_print():
    assert share("a, b = map(int, input().split())\nprint(a + b)", SUM) == 1
    assert share("a, b = map(int, input().split())\nprint(a + b, '')", json.dumps(SUM)) == 1
    assert share("print(3)", SUM) == 0.5
    assert share("print(3", SUM) == 0
    cases = [{"input": "1 2", "output": "3", "type": "stdin_stdout"}, {"input": "2 2", "output": "4"}]
    assert share("print(sum(map(int, input().split())))", {"language": "python", "test_cases": cases}) == 1
    assert share("import sys\nprint(3)\nsys.exit(1)", SUM) == 0, "a program that fails has not answered"


def test_functions_are_scored_by_what_they_return():
    calls = {"inputs": [[1, 2], [[1], [2]]], "outputs": [3, [[1, 2]]], "fn_name": "add"}
    assert share(RIGHT, calls) == 1
    assert share("class Solution:\n    def add(self, a, b):\n        return a + b", calls) == 1
    assert share("def add(a, b):\n    return 3", calls) == 0.5
    assert share("def other(a, b):\n    return 3", calls) == 0
    assert share("def f(x):\n    return {x: (x, [0.1 + 0.2])}", {"inputs": [["k"]], "outputs": [{"k": ["k", [0.3]]}],
                 "fn_name": "f"}) == 1  # fmt: skip
    assert share("def f(x):\n    return 1", {"inputs": [["k"]], "outputs": [True], "fn_name": "f"}) == 0
    assert share(RIGHT, [{"input": "1\n2", "output": 3, "fn_name": "add", "type": "function_call"}]) == 1


def test_asserts_are_run_against_the_functions():
    assert share(RIGHT, ADD) == 1
    assert share("def add(a, b):\n    return 3", ADD) == pytest.approx(1 / 3)
    check = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(5, 5) == 10"
    assert share(RIGHT, check, entry_point="add") == 1
    assert share(RIGHT.replace("add", "sum"), check, entry_point="sum") == 1
    assert share("def add(a, b):\n    return 3", check, entry_point="add") == 0
    named = "from solution import add\n\ndef test_add():\n    assert add(1, 2) == 3"
    assert share(RIGHT, named) == 1 and share("def add(a, b):\n    return 4", named) == 0
    assert share("def f(x):\n    return x", ["assert math.isclose(f(1.0), 1.0)"], setup="import math") == 1


SOLUTION = """
import collections, datetime, fractions
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
    def moved(self, by=1): return Point(self.x + by)
class Own(Exception): pass
Pair = collections.namedtuple("Pair", "a b")
def sort(values, table, seen): values.sort(); table["n"] = 1; seen.add(2)
def apply(function, values): return [function(value) for value in values]
def count():
    yield from (1, 2, 3)
def give(what): return what
def pair(): return Pair(1, 2)
def half(): return fractions.Fraction(1, 2)
def day(): return datetime.date(2020, 1, 2)
def fail(error):
    raise {"value": ValueError, "own": Own}[error]("no")
"""
VALUES = [
    "x, t, s = [3, 1], {}, {1}\nsort(x, t, s)\nassert (x, t, s) == ([1, 3], {'n': 1}, {1, 2})",
    "assert apply(lambda value: value * 2, (1, 2)) == [2, 4]",
    "assert list(count()) == [1, 2, 3] and sum(count()) == 6",
    "assert Point(1) == Point(1) and Point(1) != Point(2) and Point(1) != 1",
    "assert Point(1).moved(by=4).x == 5\np = Point(1)\np.x = 9\nassert p.x == 9",
    "assert pair() == (1, 2)\nassert isinstance(pair(), tuple)",
    "from fractions import Fraction\nassert half() == Fraction(1, 2)",
    "import datetime\nassert day() == datetime.date(2020, 1, 2)",
    "for v in (None, True, 2**200, -1.5, 'é\\ud800', b'x', (1, [2]), {1: {2}}, frozenset([1]), 1j, range(3)):\n"
    "    assert give(v) == v and type(give(v)) is type(v)",
    "assert str(give(float('nan'))) == 'nan' and give(float('inf')) == float('inf')",
    "try:\n    fail('value')\nexcept ValueError as error:\n    assert str(error) == 'no'\nelse:\n    assert False",
    "try:\n    fail('own')\nexcept Exception as error:\n    assert 'Own' in str(error)\nelse:\n    assert False",
]


def test_values_of_all_kinds_reach_the_tests_as_what_they_are():
    suite = Asserts(VALUES)
    failed = [source for source in VALUES if passed_tests(SOLUTION, Asserts([source]), LIMITS) != (1, 1)]
    assert failed == [] and passed_tests(SOLUTION, suite, LIMITS) == (len(VALUES),) * 2


EQUAL = "\n    def __eq__(self, other): return True\n    pass"
SECRET = "the-right-answer-7f3a"
TRICKS = {
    "it leaves at once": "import os; os._exit(0)",
    "it leaves in a call": "import os\ndef add(a, b): os._exit(0)",
    "it exits": "import sys; sys.exit(0)",
    "it exits in a call": "import sys\ndef add(a, b): sys.exit(0)",
    "it says that it passed": """
import os
for fd in range(64):
    try: os.write(fd, b'{"passed": true, "why": null}' + bytes([10]))
    except OSError: pass
def add(a, b): return None
""",
    "it answers for the tests": """
import os
def add(a, b):
    for fd in range(64):
        try: os.write(fd, (b'{"value": null, "passed": true, "changed": {}}' + bytes([10])) * 9)
        except OSError: pass
""",
    "it equals everything": """
class E:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __contains__(self, other): return True
def add(a, b): return E()
""",
    "its text equals everything": f"class E(str):{EQUAL}; __hash__ = str.__hash__\ndef add(a, b): return E()",
    "its number equals everything": f"class E(int):{EQUAL}; __hash__ = int.__hash__\ndef add(a, b): return E()",
    "its list equals everything": f"class E(list):{EQUAL}\ndef add(a, b): return E()",
    "it changes builtins": """
import builtins
builtins.AssertionError = Exception
builtins.abs = abs = lambda x: 0
round = lambda *x: 3
all = any = lambda *x: True
def add(a, b): return None
""",
    "it reads the tests": """
import gc, os, sys
def held():
    seen, frame = gc.get_objects(), sys._getframe()
    while frame:
        seen += [frame.f_locals, frame.f_globals]
        frame = frame.f_back
    return repr(seen) + repr(os.environ)
def add(a, b): return a + b if ''.join(PARTS) in held() else None
""",
    "it loops": "def add(a, b):\n    while True: pass",
    "it sleeps": "import time; time.sleep(1000)",
    "it says nonsense": "import os\ndef add(a, b):\n    while True: os.write(4, b'x' * 65536)",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_passes_for_a_right_solution(trick):
    asserts = [
        f"assert add('{SECRET[:9]}', '{SECRET[9:]}') == '{SECRET}'",
        "assert abs(add(1.5, 1.5) - 3) < 0.1",
        "assert all([add(1, 2) == 3]) and round(add(1, 1)) == 2",
    ]
    program = TRICKS[trick].replace("PARTS", repr([SECRET[:4], SECRET[4:]]))
    compile(program, "trick", "exec")
    short = replace(limits(1, 512), wall=2.0)
    assert passed_tests(program, recognised(asserts), short)[0] == 0
    calls = {"inputs": [["a", "b"], [1, 2]], "outputs": ["ab", 4], "fn_name": "add"}
    assert passed_tests(program, recognised(calls), short)[0] == 0


WITH_NUMPY = """
import numpy as np
def scaled(values, by): return np.asarray(values) * by
def middle(values): return np.median(values)
def norm(matrix): return float(np.linalg.norm(np.fft.ifft(np.fft.fft(matrix))))
"""


def test_packages_that_are_named_can_be_imported_and_no_other_file_be_read():
    tests = [
        "assert scaled([1, 2], 3).tolist() == [3, 6] and scaled(np.arange(3), 2.0).dtype == float",
        "assert np.allclose(scaled(np.ones((2, 2)), 2), [[2, 2], [2, 2]]) and abs(norm(np.eye(2)) - 2**0.5) < 1e-9",
        "assert middle([3, 1, 2]) == 2.0 and isinstance(middle([3, 1, 2]), float)",
    ]
    suite = recognised(tests, setup="import numpy as np")
    allowed = limits(4, 1024, imports=["numpy"])
    assert passed_tests(WITH_NUMPY, suite, allowed) == (3, 3)
    assert passed_tests(WITH_NUMPY, suite, replace(allowed, packages=()))[0] == 0
    wrong = WITH_NUMPY.replace("* by", "* by + 1").replace("median(values)", "ones(1)")
    assert passed_tests(wrong, suite, allowed) == (0, 3)
    its_own = "class np:\n    allclose = lambda *a: True\nnumpy = np\n" + "scaled = norm = middle = lambda *a: 0"
    assert passed_tests(its_own, recognised(tests[1], setup="import numpy as np"), allowed)[0] == 0
    calls = {"inputs": [[[1, 2], 3]], "outputs": [[3, 6]], "fn_name": "scaled"}
    assert passed_tests(WITH_NUMPY, recognised(calls), allowed) == (1, 1)
    beside = "import os, numpy\nprint(os.path.exists(os.path.dirname(numpy.__file__)))\ntry: import pytest\n"
    beside += "except ImportError: print('no')\ntry: open(numpy.__path__[0] + '/../pytest/__init__.py')\n"
    beside += "except OSError: print('no')"
    assert passed_tests(beside, Programs([("", "True\nno\nno\n")]), allowed) == (1, 1)
    with pytest.raises(ValueError, match="'nunpy' is none"):
        limits(1, 512, imports=["nunpy"])


def test_a_helper_of_the_tests_is_the_solution_s_until_setup_defines_it():
    """As in HumanEval/32, whose tests call a function of the prompt: a solution can bring one that always agrees."""
    tests = ["assert same(add(1, 2), 3)"]
    cheats = "def add(a, b):\n    return 9\ndef same(a, b):\n    return True"
    honest = "def add(a, b):\n    return a + b\ndef same(a, b):\n    return a == b"
    assert share(honest, tests) == share(cheats, tests) == 1
    setup = "def same(a, b):\n    return a == b"
    assert share(cheats, tests, setup=setup) == 0 and share(RIGHT, tests, setup=setup) == 1


def test_the_reward_takes_the_last_block_of_finished_completions():
    reward = PassedTests(seconds=2, memory_mib=512, at_once=2)
    block = "```python\n{}\n```"
    completions = [
        f"First {block.format('def add(a, b): return 0')} no:\n{block.format(RIGHT)} That is it.",
        [{"role": "assistant", "content": block.format(RIGHT)}],
        f"<think>{block.format(RIGHT)}",
        RIGHT,
        block.format("def add(a, b): return 3"),
        block.format(RIGHT),
        f"```cpp\n{RIGHT}\n```",
        "",
    ]
    truncated = [False] * 5 + [True, False, False]
    given = reward(completions=completions, tests=[ADD] * 8, truncated=truncated, answer=[None] * 8)
    assert given == [1, 1, 0, 0, 0, 0, 0, 0]
    shares, seen = PassedTests(seconds=2, memory_mib=512, share=True), {}
    given = shares(completions=[completions[4], ""], tests=[ADD] * 2, log_extra=seen.__setitem__)
    assert given == [pytest.approx(1 / 3), 0] and seen == {"tests": ["1 of 3 passed", "no program"]}


def test_a_block_is_found_however_it_is_indented_and_named():
    assert program_of("a\n  ```py\n  x\n  ```") == "  x\n"
    assert program_of("```\nx\n```") == "x\n" and program_of("```python title=a\nx\n```") == "x\n"
    assert program_of("```python\nnot closed") is None and program_of(None) is None


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("3\n", "3", True),
        ("3 \n\n", "3", True),
        ("1\n2", "1 2", False),
        ("0.30000000004", "0.3", True),
        ("3.0", "3", False),
        ("3", "3.0", True),
        ("nan", "1.0", False),
        ("yes", "YES", False),
        ("", "", True),
        ("1 2", "1  2", True),
    ],
)
def test_outputs_are_compared_word_by_word(printed, expected, same):
    assert same_output(printed, expected) is same


def test_the_forms_of_data_sets_are_recognised():
    assert isinstance(recognised(json.dumps({"inputs": ["1"], "outputs": ["2"], "fn_name": None})), Programs)
    assert recognised({"inputs": [["1", "2"]], "outputs": [["3"]]}) == Programs([("1\n2", "3")])
    assert recognised({"inputs": [[1]], "outputs": [2], "fn_name": "f"}) == Calls("f", [([1], 2)])
    assert recognised(json.dumps(["assert f(1)"])) == Asserts(["assert f(1)"])
    for wrong, said in (
        ("", "assert nothing"),
        ("f(1) ==", "no Python"),
        ("f(1) == 2", "assert nothing"),
        ([], "known are"),
        (None, "known are"),
        ("[1]", "known are"),
        ({"test_cases": [], "language": "cpp"}, "only Python"),
        ({"inputs": [1], "outputs": []}, "shorter"),
    ):
        with pytest.raises(ValueError, match=said):
            recognised(wrong)
