"""A check: a statement, a number measured on the installed versions, and the bound that the number must keep."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


class CheckFailed(Exception):  # noqa: N818 - the result of a check, not a fault in it
    """The statement does not hold, or nothing was compared; each argument is a sentence that says why."""


@dataclass(frozen=True)
class Check:
    """One property of an algorithm.

    Args:
        name: short, the same in every release.
        statement: one line, what holds.
        measure: measures it; the check fails if it raises.
        at_most: greatest value at which the statement holds; 0.0 is equality to the last bit.
        at_least: smallest value at which it holds; replaces `at_most`.
    """

    name: str
    statement: str
    measure: Callable[[], float]
    at_most: float = 0.0
    at_least: float | None = None

    @property
    def bound(self) -> str:
        """The bound as it is shown, such as `<= 1e-05`."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most else "= 0"

    def holds(self, measured: float) -> bool:
        """Whether the measured number keeps the bound; NaN does not."""
        if self.at_least is not None:
            return measured >= self.at_least
        return measured <= self.at_most


def check(name: str, at_most: float = 0.0, at_least: float | None = None) -> Callable[[Callable[[], float]], Check]:
    """Make a `Check` of the function below; the first line of its docstring is the statement."""

    def made_of(measure: Callable[[], float]) -> Check:
        statement = (measure.__doc__ or "").partition("\n")[0]
        return Check(name, statement, measure, at_most, at_least)

    return made_of


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check; `measured` is None where there is no number, and `why` then says why."""

    algorithm: str
    name: str
    statement: str
    passed: bool
    measured: float | None
    bound: str
    seconds: float
    why: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


def run_check(algorithm: str, check: Check) -> CheckResult:
    """Measure, and compare with the bound. An exception fails the check: upstream may have changed in any way."""
    began = time.perf_counter()
    measured: float | None = None
    why: list[str] = []
    try:
        measured = float(check.measure())
    except CheckFailed as failure:
        why = [str(sentence) for sentence in failure.args]
    except Exception as error:
        why = [f"{type(error).__name__}: {error}"]
    passed = measured is not None and check.holds(measured)
    seconds = round(time.perf_counter() - began, 2)
    return CheckResult(algorithm, check.name, check.statement, passed, measured, check.bound, seconds, why)
