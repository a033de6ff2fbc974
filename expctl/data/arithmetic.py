"""The embedded task: add two numbers of two digits, with a chain of thought that may be longer than it need be.

A completion adds the ones, adds the tens, may restate those sums any number of times, and ends in the answer:

    prompt      37+58=
    concise      7+8=15 3+5+1=9 so 95
    redundant    7+8=15 3+5+1=9 wait 7+8=15 wait 3+5+1=9 wait 3+5+1=9 so 95
    guess        so 93

Restating comes after the sums, so it costs tokens and changes nothing: what an algorithm that shortens completions
should unlearn. A guess skips the chain of thought and is wrong. One pair of numbers in eight is held out for
evaluation whatever the seed, and the embedded tiny model has not seen it either.
"""

import random
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from expctl.base.data_kinds import (
    MESSAGES,
    PREFERENCE,
    PRIVILEGED,
    PROMPT_COMPLETION,
    PROMPT_ONLY,
    TRIPLE_PREFERENCE,
    UNPAIRED_PREFERENCE,
    current_kind,
)

KINDS = (
    PROMPT_ONLY,
    PROMPT_COMPLETION,
    PREFERENCE,
    UNPAIRED_PREFERENCE,
    TRIPLE_PREFERENCE,
    MESSAGES,
    PRIVILEGED,
)
MOST_RESTATEMENTS = 7
HELD_OUT_ONE_IN = 8


@dataclass(frozen=True)
class Sum:
    """Two numbers to add, each from 10 to 99."""

    first: int
    second: int

    @property
    def prompt(self) -> str:
        return f"{self.first}+{self.second}="

    @property
    def answer(self) -> str:
        return str(self.first + self.second)

    def completion(self, restated: tuple[int, ...] = ()) -> str:
        """The chain of thought and the answer; concise, unless it is told what to restate.

        Args:
            restated: what to say again before the answer, in this order; 0 is the sum of the ones, 1 of the tens.
        """
        ones = self.first % 10 + self.second % 10
        carry = "+1" if ones > 9 else ""
        tens = (self.first + self.second) // 10
        steps = (
            f" {self.first % 10}+{self.second % 10}={ones}",
            f" {self.first // 10}+{self.second // 10}{carry}={tens}",
        )
        again = "".join(f" wait{steps[which]}" for which in restated)
        return f"{steps[0]}{steps[1]}{again} so {self.answer}"

    def redundant(self, rng: random.Random, *, fewest: int = 0) -> str:
        """A completion that restates `fewest` to `MOST_RESTATEMENTS` sums, all numbers of them equally likely."""
        return self.completion(tuple(rng.randrange(2) for _ in range(rng.randint(fewest, MOST_RESTATEMENTS))))

    def guess(self, rng: random.Random) -> str:
        """A wrong answer without a chain of thought, off by 1 to 9."""
        return f" so {self.first + self.second + rng.choice((-1, 1)) * rng.randint(1, 9)}"


def pools() -> tuple[list[Sum], list[Sum]]:
    """All sums, split into those to train on (7088) and those held out (1012); the same for every seed."""
    sums = [Sum(first, second) for first in range(10, 100) for second in range(10, 100)]
    random.Random(0).shuffle(sums)
    held_out = len(sums) // HELD_OUT_ONE_IN
    return sums[held_out:], sums[:held_out]


def load(*, kind: str, seed: int, train_size: int = 2048, eval_size: int = 512) -> tuple[Dataset, Dataset]:
    """The task as a training and an evaluation set; no prompt of one is in the other, for any two seeds.

    Args:
        kind: one of `KINDS`. A completion, what is chosen, what is liked and what a teacher is told are concise and
            right; what is rejected or disliked is redundant, or a guess. Half of the unpaired ones are liked. Of a
            triple the reference is the concise one, the chosen one redundant and right, the rejected one a guess.
            Prompts alone come with the `answer`.
        seed: chooses the prompts, their order and the rejected completions.
        train_size: number of training prompts, 1 to 7088.
        eval_size: number of held-out prompts, 1 to 1012.

    Raises:
        ValueError: `kind` is not supported, or a size is more than there are different prompts.
    """
    kind = current_kind(kind)
    if kind not in KINDS:
        raise ValueError(f"dataset arithmetic has no kind {kind!r}; it has {', '.join(KINDS)}")
    rng = random.Random(seed)
    sizes = {"train_size": train_size, "eval_size": eval_size}
    splits = []
    for (name, size), pool in zip(sizes.items(), pools(), strict=True):
        if not 1 <= size <= len(pool):
            raise ValueError(
                f"dataset.{name}={size}: arithmetic has {len(pool)} prompts for it; choose 1 to {len(pool)}"
            )
        splits.append(Dataset.from_list([_row(sum_, kind, rng) for sum_ in rng.sample(pool, size)]))
    return splits[0], splits[1]


def _row(sum_: Sum, kind: str, rng: random.Random) -> dict[str, Any]:
    prompt, concise = sum_.prompt, sum_.completion()
    if kind == PROMPT_ONLY:
        return {"prompt": prompt, "answer": sum_.answer}
    if kind == PROMPT_COMPLETION:
        return {"prompt": prompt, "completion": concise}
    if kind == MESSAGES:
        turns = {"user": prompt, "assistant": concise}
        return {"messages": [{"role": role, "content": text} for role, text in turns.items()]}
    if kind == PRIVILEGED:
        return {"prompt": prompt, "privileged_context": concise}
    if kind == TRIPLE_PREFERENCE:
        pair = {"chosen": sum_.redundant(rng, fewest=1), "rejected": sum_.guess(rng)}
        return {"prompt": prompt, "reference": concise} | pair
    rejected = sum_.guess(rng) if rng.random() < 0.5 else sum_.redundant(rng, fewest=1)
    if kind == UNPAIRED_PREFERENCE:
        is_liked = rng.random() < 0.5
        return {"prompt": prompt, "completion": concise if is_liked else rejected, "label": is_liked}
    return {"prompt": prompt, "chosen": concise, "rejected": rejected}
