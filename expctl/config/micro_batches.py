"""The arithmetic of one optimizer step: how its rows are cut into micro-batches, whatever the number of processes.

A step has `prompts` x `completions` rows over all processes. TRL cuts the rows of a process into
`gradient_accumulation_steps` micro-batches of `per_device_train_batch_size` rows each. Of these the update sees only
those that were kept: a group filter that drops leaves `kept` of each group. So a micro-batch that is to fill a device
is `completions / kept` times as large before the filter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, isqrt


@dataclass(frozen=True)
class MicroBatches:
    """One way to cut a step.

    Args:
        rows: `per_device_train_batch_size`, rows of a process in a micro-batch before a filter drops any.
        accumulation: `gradient_accumulation_steps`, micro-batches of a process in a step.
        per_generation: `steps_per_generation`, micro-batches of a process in a generation batch.
        kept: rows of a micro-batch that the update sees, at most.
    """

    rows: int
    accumulation: int
    per_generation: int
    kept: int


@dataclass(frozen=True)
class Step:
    """What one optimizer step has, over all processes.

    Args:
        prompts: prompts of a step; rows of the data where nothing is sampled.
        completions: completions of a prompt (G); 1 where nothing is sampled.
        kept: completions of a prompt that the update sees, at most.
        world: processes on all machines.
        updates: optimizer steps on one generation batch.
        per_generation: micro-batches of a process in a generation batch, where that number is fixed.
    """

    prompts: int
    completions: int = 1
    kept: int = 1
    world: int = 1
    updates: Fraction = Fraction(1)
    per_generation: int | None = None

    @property
    def total(self) -> int:
        """Rows of a step over all processes."""
        return self.prompts * self.completions

    @property
    def rows(self) -> int:
        """Rows of a process in a step, where `total` divides by the processes."""
        return self.total // self.world

    @property
    def needed(self) -> int:
        """Rows in a step that the update sees, of the process that has most."""
        return -(-self.prompts * self.kept // self.world)

    def cuts(self) -> list[MicroBatches]:
        """Every way to cut the step, the fewest and largest micro-batches first; none where TRL could not train so.

        A generation batch has whole groups, and an optimizer step whole generation batches or the reverse.
        """
        cuts = []
        for accumulation in divisors(self.rows) if self.total % self.world == 0 else []:
            per_generation = Fraction(self.per_generation or self.updates * accumulation)
            rows = self.rows // accumulation
            is_whole = per_generation.denominator == 1 and rows * self.world * per_generation % self.completions == 0
            if is_whole and (per_generation % accumulation == 0 or accumulation % per_generation == 0):
                kept = -(-self.needed // accumulation)
                cuts.append(MicroBatches(rows, accumulation, int(per_generation), kept))
        return cuts

    def prompts_that_divide(self) -> list[int]:
        """The nearest numbers of prompts whose rows divide by the processes."""
        unit = self.world // gcd(self.completions, self.world)
        below = self.prompts - self.prompts % unit
        return [prompts for prompts in (below, below + unit) if prompts > 0]


def divisors(number: int) -> list[int]:
    """The divisors of a positive whole number, in ascending order."""
    small = [candidate for candidate in range(1, isqrt(number) + 1) if number % candidate == 0]
    large = [number // divisor for divisor in reversed(small) if divisor * divisor != number]
    return small + large


def nearest_numbers(number: int, known: Iterable[int]) -> list[int]:
    """The largest of `known` below a number and the smallest above it."""
    ordered = sorted(known)
    below = [each for each in ordered if each < number]
    above = [each for each in ordered if each > number]
    return below[-1:] + above[:1]
