"""Runs as they were at the same number of tokens, seconds or steps, from the evaluations within their trainings."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.compare.runs import Measured, Record, UnreadableRunError
from expctl.runs.phases import CHECKPOINT, CPU_SECONDS, EVALUATION, times_in

# What a training may be stopped by -> a word for people.
UNITS = {
    "tokens": "tokens",
    "seconds": "seconds of training",
    "cpu_seconds": "processor seconds of training",
    "steps": "steps",
}
TOKENS = "num_tokens"


@dataclass(frozen=True)
class Budget:
    """So much of a unit: `tokens`, `seconds`, `cpu_seconds`, `steps`."""

    unit: str
    amount: float

    @property
    def word(self) -> str:
        """As it is typed: `tokens=100000`."""
        return f"{self.unit}={self.amount:.12g}"

    def __str__(self) -> str:
        return f"{self.amount:,g} {UNITS[self.unit]}"


def parse(text: str) -> Budget:
    """The budget that `tokens=100000` is.

    Raises:
        Refusal: no such unit, or no positive number.
    """
    where = f"--at {text} (command line)"
    unit, _, amount = text.partition("=")
    if unit not in UNITS:
        raise Refusal(f"nothing is counted in '{unit}'", where=where, nearest=nearest(unit, UNITS) or list(UNITS))
    try:
        number = float(amount)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise Refusal(f"no number of {unit}: '{amount}'", where=where, do=f"a number above 0, such as {unit}=100")
    return Budget(unit, number)


def at(record: Record, budget: Budget) -> Record:
    """The run as it was when it had used the budget: `after` is what it would have been evaluated to.

    A value lies on the straight line between the evaluations before and after, the one before training among them. What
    the summary says of the whole training is left out.

    Raises:
        UnreadableRunError: the run ended before it, or was not evaluated within its training.
    """
    evaluations = list(_evaluations(record, budget.unit))
    if len(evaluations) < 2:
        raise UnreadableRunError("it has no evaluation within its training (args.eval_strategy=steps)")
    used = [used for used, _ in evaluations]
    if used[-1] < budget.amount:
        raise UnreadableRunError(f"it ended before {budget}")
    upper = next(place for place, amount in enumerate(used) if amount >= budget.amount)
    (low, before), (high, after) = evaluations[max(upper - 1, 0)], evaluations[upper]
    share = 1.0 if high == low else (budget.amount - low) / (high - low)
    between = {name: _between(before.get(name), value, share) for name, value in after.items()}
    return replace(record, steps=None, after=between, train={}, seconds={}, tokens_per_second={})


def _between(low: float | None, high: float | None, share: float) -> float | None:
    if high is None or share == 1:
        return high
    return None if low is None else low + share * (high - low)


def _evaluations(record: Record, unit: str) -> Iterator[tuple[float, Measured]]:
    """What was used up to each evaluation, never less than before, and its metrics; of several at once the last."""
    by_use: dict[float, Measured] = {0.0: dict(record.before)} if record.before else {}
    used = 0.0
    for row in record.rows:
        metrics = {name: value for name, value in row.items() if name.startswith("eval_")}
        if not metrics:
            used = max(used, _used(unit, row, used))
        elif used:
            by_use[used] = metrics
    yield from by_use.items()


def _used(unit: str, row: dict[str, float], before: float) -> float:
    """Of the unit, up to a row of the training; `before` that row."""
    if unit == "steps":
        return float(row.get("step") or before)
    if unit == "tokens":
        return float(row.get(TOKENS) or before)
    if unit == "cpu_seconds":
        return before + float(row.get(CPU_SECONDS) or 0.0)
    seconds = times_in([row]).seconds
    return before + sum(value for phase, value in seconds.items() if phase not in (EVALUATION, CHECKPOINT))
