"""The reward of a program: the tests that it passes, in a sandbox."""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from expctl.rewards.code_run import passed_tests
from expctl.rewards.code_tests import Suite, recognised
from expctl.rewards.completions import Completion, final_texts
from expctl.rewards.sandbox.processes import Limits, limits, open_doors

_FENCED = re.compile(r"```[ \t]*([\w+-]*)[^\n`]*\n(.*?)^[ \t]*```(?!\w)", re.DOTALL | re.MULTILINE)
_LANGUAGES = ("", "python", "python3", "py")


class PassedTests:
    """1.0 where the program of a completion passes all tests of its row, else 0.0; or the share that it passes.

    The program is the last fenced block of Python. It runs in a process that can neither open files nor reach a network
    nor start another process, and that holds no expected value: outputs are compared here, and asserts run in a second
    such process, which calls the solution's functions over a pipe.

    Args:
        seconds: of processor time, for one test; by a clock it has thrice that.
        memory_mib: of address space, for one program.
        share: reward the share of passed tests.
        at_once: completions whose programs run at the same time; None takes the processors that this process may use.
        unprotected: run where the kernel cannot protect: time and memory alone are limited.
        imports: installed packages that programs and tests may import, such as numpy.

    Raises:
        ValueError: a package is not installed.
        RuntimeError: the kernel here cannot protect, and `unprotected` is False.
    """

    def __init__(
        self,
        seconds: int = 4,
        memory_mib: int = 1024,
        share: bool = False,
        at_once: int | None = None,
        unprotected: bool = False,
        imports: Sequence[str] = (),
    ) -> None:
        self._limits = limits(seconds, memory_mib, protected=not unprotected, imports=imports)
        self._share = share
        self._at_once = at_once or _processors()
        if not unprotected:
            check_protected(self._limits)

    def __call__(
        self,
        completions: Sequence[Completion],
        tests: Sequence[Any],
        setup: Sequence[str | None] | None = None,
        entry_point: Sequence[str | None] | None = None,
        truncated: Sequence[bool] | None = None,
        prompts: Sequence[Completion] | None = None,
        log_extra: Callable[[str, list[str]], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        """One value a completion.

        Args:
            completions: one completion a row.
            tests: those of each row, in a form that `expctl.rewards.code_tests` knows.
            setup: what is run before the asserts of each row.
            entry_point: the function that `check(candidate)` of each row is given.
            truncated: whether each completion was cut off, and so earns nothing.
            prompts: the prompt of each row; one that ends within `<think>` begins the reasoning.
            log_extra: takes a column of what is to be seen beside the completions.
            **columns: what else TRL passes to a reward function; ignored.

        Raises:
            ValueError: the tests of a row have no form that is known.
        """
        nothing = [None] * len(completions)
        suites = _suites(tests, setup or nothing, entry_point or nothing)
        programs = [program_of(text) for text in final_texts(completions, truncated, prompts)]
        with ThreadPoolExecutor(self._at_once) as pool:
            results = list(pool.map(self._passed, programs, suites))
        if log_extra is not None:
            log_extra("tests", [_shown(program, result) for program, result in zip(programs, results, strict=True)])
        return [passed / count if self._share else float(passed == count) for passed, count in results]

    def _passed(self, program: str | None, suite: Suite) -> tuple[int, int]:
        """Tests passed, and tests; up to the first that fails where the others cannot change the reward."""
        if program is None:
            return 0, suite.count
        return passed_tests(program, suite, self._limits, to_the_first=not self._share)


def check_protected(limit: Limits) -> None:
    """Raise RuntimeError where a program inside could do what it must not."""
    found = open_doors(limit)
    if found:
        raise RuntimeError(
            f"programs cannot be run safely here: {'; '.join(found)}. Train on a Linux of 5.13 or newer, or let them "
            "do what you may do: reward.functions.code.unprotected=true"
        )


def program_of(text: str | None) -> str | None:
    """The last fenced block of Python in a text; None where there is none."""
    blocks = [block[2] for block in _FENCED.finditer(text or "") if block[1].lower() in _LANGUAGES]
    return blocks[-1] if blocks else None


def _shown(program: str | None, result: tuple[int, int]) -> str:
    return "no program" if program is None else f"{result[0]} of {result[1]} passed"


def _suites(tests: Sequence[Any], setups: Sequence[str | None], entry_points: Sequence[str | None]) -> list[Suite]:
    """The tests of each row; those of a group are the same object or text, and recognised once."""
    known: dict[tuple[str, str | None, str | None], Suite] = {}
    suites = []
    for row in zip(tests, setups, entry_points, strict=True):
        key = (row[0] if isinstance(row[0], str) else repr(row[0]), row[1], row[2])
        if key not in known:
            known[key] = recognised(*row)
        suites.append(known[key])
    return suites


def _processors() -> int:
    """Processors that this process may use, shared with the other processes of the training on this machine."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, mine // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
