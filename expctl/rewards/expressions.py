"""Reward of a right final answer by algebra: math-verify compares expressions, sets, intervals and matrices."""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from expctl.rewards.completions import Completion, final_texts
from expctl.rewards.marked import marked_answer
from expctl.rewards.math_answer import expected_answer, same_answer, same_value, scores
from expctl.rewards.numbers import read_number
from expctl.rewards.plain import plain
from expctl.rewards.texts import normal, parts
from expctl.rewards.units import split_unit

LONGEST_EXPRESSION = 300  # characters
_FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|exp|sqrt|frac|binom|pi"
# What the library would read as something else, or leave out.
_NOT_READ = re.compile(
    r"[≈~∼≃≅]|(?<![/\d_])\d+ \d+ ?/|\d ?\(\d"
    r"|\.\.|\\[lc]?dots|'|\d ?_|[-+] ?[-+]|\\(?:lor|land|vee|wedge|pmod|mod|bmod|pm|mp|approx|sim|equiv|not)(?![a-z])"
    r"|[=<>≤≥] ?[?!]|[!?] ?=|^\[[^,]*\]$|\\{[^,]*\\}$"
)
# Powers of powers and powers with an exponent of four digits: the process would only be ended over them.
_TOWER = re.compile(r"\^ ?\{?[\d (){}]{1,20}\^|\^ ?\{? ?-?\d{4}|\d{4} ?!|\d{50}")
_WORD = re.compile(rf"(?<![\\a-zA-Z])(?!(?:{_FUNCTIONS})(?![a-zA-Z]))[a-zA-Z]{{2,}}")
_NAME = re.compile(r"^\s*(?:[a-zA-Z]|[a-z]\([a-z]\))\s*(?:=(?![^=]*=)|\\in(?![a-z]))")


def accuracy(
    completions: Sequence[Completion],
    answer: Sequence[object],
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    **kwargs: object,
) -> list[float | None]:
    """1.0 where the final answer equals the right one, by value, as text or by algebra; else 0.0; None without one.

    As `expctl.rewards.math_answer.accuracy`; where that finds no equality, math-verify compares what the completion
    marks: `\\sqrt{8}` is `2\\sqrt{2}`, `(x+1)^2` is `x^2+2x+1`, `5 > x` is `x < 5`, `2^{10}` is 1024.

    Its limits: an answer without a mark is not compared by algebra; expressions of more than 300 characters, with
    words, subscripts of numbers, `\\pm`, dots or powers of powers are compared as text only; a pair may take 3 seconds
    of processor time and 4 GiB, then it is not equal; decimal numbers are exact (0.333 is not 1/3).

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        answer: the right answer of each row, alone or at the end of a solution.
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row; one that ends with `<think>` begins the reasoning.
        **kwargs: what else TRL passes to a reward function; ignored.

    Raises:
        RuntimeError: math-verify cannot be run.
    """
    return scores(final_texts(completions, truncated, prompts), answer, same_by_algebra)


def same_by_algebra(text: str, right: str) -> bool:
    """Whether the final answer of `text` equals that of `right`, by algebra where it is marked."""
    given, expected = marked_answer(text), expected_answer(right)
    if given is None:
        return same_answer(text, right)
    if same_value(given, expected):
        return True
    if read_number(given) is not None and read_number(expected) is not None:
        return False
    (given, unit), (expected, right_unit) = split_unit(given), split_unit(expected)
    if unit and right_unit and unit != right_unit:
        return False
    left, right_side = _expression(given), _expression(expected)
    if left is None or right_side is None or _relations(left) != _relations(right_side):
        return False
    if _letters(left) != _letters(right_side) and _letters(left.lower()) == _letters(right_side.lower()):
        return False
    if _enclosed(left) != _enclosed(right_side):
        return False
    return _equal(os.getpid(), _exact(right_side), _exact(left))


def _expression(answer: str) -> str | None:
    """The answer as LaTeX without a name before it; None where the library would misread it."""
    answer = answer.strip().strip("$").strip()
    if "=" in answer or "\\in" in answer:
        answer = _NAME.sub("", answer)
    bare = plain(answer)
    if not bare or len(answer) > LONGEST_EXPRESSION or _NOT_READ.search(bare) or _TOWER.search(bare):
        return None
    without_commands = re.sub(r"\\(?:begin|end) ?\{\w+\}|\\[a-zA-Z]+", " ", bare)
    return None if _WORD.search(without_commands) else answer


def _relations(latex: str) -> tuple[bool, bool]:
    """Whether it is an equation, and whether it is an inequality."""
    return "=" in latex, bool(re.search(r"[<>≤≥≠]|\\(?:leq?|geq?|lt|gt|neq?)(?![a-z])", latex))


def _enclosed(latex: str) -> tuple[str, str] | None:
    """What a list, point, interval or set stands in; None where it is none."""
    split = parts(normal(latex.replace(";", ",")))
    return None if split is None else split[:2]


def _exact(latex: str) -> str:
    """With each decimal number as a fraction: the library rounds decimals."""
    return re.sub(r"(?<![\d,])\d*\.\d+", lambda decimal: _as_fraction(decimal[0]), latex)


def _as_fraction(decimal: str) -> str:
    value = Fraction(decimal)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _letters(latex: str) -> set[str]:
    """The variables; the library takes no notice of their case."""
    return set(re.findall(r"[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", " ", latex)))


class _Process:
    """The process that compares, started when it is first needed and again whenever it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: subprocess.Popen[str] | None = None

    def equal(self, expected: str, given: str) -> bool:
        with self._lock:
            if self._running is None:
                self._running = self._start()
            verdict = _answer_to(self._running, json.dumps([expected, given]))
            if not verdict:
                process, self._running = self._running, None
                self._check_that_it_ran(process)
            return verdict.strip() == "true"

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )

    def _check_that_it_ran(self, process: subprocess.Popen[str]) -> None:
        """A process that a pair has ended was killed by a signal: by its limit, or in a crash."""
        process.communicate()
        if process.returncode >= 0:
            raise RuntimeError(f"the process that compares expressions cannot run; see: {shlex.join(_command())}")


def _command() -> list[str]:
    # -P: the folder of the script holds modules with names of the standard library.
    return [sys.executable, "-P", str(Path(__file__).with_name("algebra.py"))]


def _answer_to(process: subprocess.Popen[str], request: str) -> str:
    """The line that the process answers with; "" where it has ended."""
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    try:
        process.stdin.write(request + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""


@functools.cache
def _process(pid: int) -> _Process:
    """One for each process that asks: a forked one must not share its pipes."""
    return _Process()


@functools.lru_cache(maxsize=4096)
def _equal(pid: int, expected: str, given: str) -> bool:
    return _process(pid).equal(expected, given)
