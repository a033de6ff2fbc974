"""A proof: a statement, a number measured on the installed versions, and the bound that the number must keep."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field


class CheckFailed(Exception):  # noqa: N818 - what a proof finds, no failure of it
    """The statement does not hold, or nothing was compared; each argument is a sentence that says why."""


@dataclass(frozen=True)
class Proof:
    """One property of an algorithm.

    Args:
        name: short, the same in every language and release.
        statement: one line, what holds.
        measure: measures it; what it raises disproves it.
        at_most: greatest value that proves it; 0.0 is equality to the last bit.
        at_least: smallest value that proves it.
    """

    name: str
    statement: str
    measure: Callable[[], float]
    at_most: float = 0.0
    at_least: float | None = None

    @property
    def bound(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most else "= 0"

    def holds(self, measured: float) -> bool:
        if self.at_least is not None:
            return measured >= self.at_least
        return measured <= self.at_most  # NaN compares false: it proves nothing


@dataclass(frozen=True)
class Verdict:
    """What became of a proof; `measured` is None where it got no number, and `why` then says why."""

    algorithm: str
    name: str
    statement: str
    passed: bool
    measured: float | None
    bound: str
    seconds: float
    why: list[str] = field(default_factory=list)

    def as_dict(self) -> dict:
        return asdict(self)


def verdict(algorithm: str, proof: Proof) -> Verdict:
    """Carry a proof out. A proof that breaks down is none: upstream may have changed in any way."""
    began = time.perf_counter()
    measured, why = None, []
    try:
        measured = float(proof.measure())
    except CheckFailed as disproved:
        why = [str(sentence) for sentence in disproved.args]
    except Exception as error:
        why = [f"{type(error).__name__}: {error}"]
    passed = measured is not None and proof.holds(measured)
    seconds = round(time.perf_counter() - began, 2)
    return Verdict(algorithm, proof.name, proof.statement, passed, measured, proof.bound, seconds, why)
