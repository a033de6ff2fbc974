#!/usr/bin/env python
"""Write the word problems of experiment=smollm2_words: two steps each, solved in four forms of different lengths.

    Tom has 34 pens, buys 7, then loses 5. How many now?

    at once    #### 36
    terse      34+7=41 41-5=36 #### 36
    wordy      Tom buys 7, so 34+7=41 pens. Then he loses 5, so 41-5=36 pens. #### 36
    checked    34+7=41 41-5=36 Check: 36+5=41 41-7=34 #### 36

Three files, of which no problem is in two: worked.jsonl for the first stage (half of it solved at once, a sixth in each
other form), practice.jsonl and test.jsonl for the second. The same arguments write the same bytes.

    python scripts/make_word_problems.py                 # into data/word_problems
    python scripts/make_word_problems.py --output dir
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SIZES = {"worked": 4096, "practice": 4096, "test": 512}
NAMES = {"Tom": "he", "Ben": "he", "Sam": "he", "Max": "he", "Anna": "she", "Mia": "she", "Lucy": "she", "Emma": "she"}
THINGS = ("pens", "books", "apples", "cards", "coins", "eggs", "stamps", "shells")
GAINS = ("buys", "finds", "gets", "wins")
LOSSES = ("loses", "sells", "drops", "gives away")


@dataclass(frozen=True)
class Change:
    """Things that come (`amount` > 0) or go."""

    verb: str
    amount: int

    def sum(self, before: int) -> str:
        """`34+27=61`"""
        return f"{before}{self.amount:+}={before + self.amount}"

    def undone(self, before: int) -> str:
        """The sum that leads back from after the change: `61-27=34`."""
        return f"{before + self.amount}{-self.amount:+}={before}"

    @property
    def said(self) -> str:
        """`buys 27`"""
        return f"{self.verb} {abs(self.amount)}"


@dataclass(frozen=True)
class Problem:
    """A number of things that changes twice."""

    name: str
    things: str
    start: int
    first: Change
    second: Change

    @property
    def between(self) -> int:
        return self.start + self.first.amount

    @property
    def answer(self) -> int:
        return self.between + self.second.amount

    @property
    def question(self) -> str:
        return f"{self.name} has {self.start} {self.things}, {self.first.said}, then {self.second.said}. How many now?"

    def worked(self, form: str) -> str:
        """The solution in one of `FORMS`, with a space before it, since it follows the prompt."""
        one, two = self.first.sum(self.start), self.second.sum(self.between)
        return f" {FORMS[form](self, one, two)}#### {self.answer}"


def wordy(problem: Problem, one: str, two: str) -> str:
    then = f"Then {NAMES[problem.name]} {problem.second.said}, so {two} {problem.things}. "
    return f"{problem.name} {problem.first.said}, so {one} {problem.things}. {then}"


def checked(problem: Problem, one: str, two: str) -> str:
    back = f"{problem.second.undone(problem.between)} {problem.first.undone(problem.start)}"
    return f"{one} {two} Check: {back} "


FORMS = {
    "at once": lambda problem, one, two: "",
    "terse": lambda problem, one, two: f"{one} {two} ",
    "wordy": wordy,
    "checked": checked,
}


# Half of the solutions come without their steps, which this model mostly gets wrong: what there is to learn.
SHARES = {"at once": 3, "terse": 1, "wordy": 1, "checked": 1}


def problems(rng: random.Random) -> Iterator[Problem]:
    """Problems without end, all different: of two digits, and changes of one."""
    seen = set()
    while True:
        start = rng.randint(10, 99)
        first = change(start, rng)
        second = change(start + first.amount, rng)
        problem = Problem(rng.choice(tuple(NAMES)), rng.choice(THINGS), start, first, second)
        if problem not in seen:
            seen.add(problem)
            yield problem


def change(before: int, rng: random.Random) -> Change:
    """A gain or a loss of 2 to 9 that leaves a number of two digits or, above 99, of three."""
    amount = rng.randint(2, 9)
    if before - amount < 10 or rng.random() < 0.5:
        return Change(rng.choice(GAINS), amount)
    return Change(rng.choice(LOSSES), -amount)


def row(problem: Problem, form: str) -> dict[str, str]:
    return {
        "prompt": problem.question,
        "completion": problem.worked(form),
        "answer": str(problem.answer),
        "form": form,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("data/word_problems"), help="folder (default %(default)s)")
    folder = parser.parse_args(arguments).output
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    endless = problems(rng)
    for name, size in SIZES.items():
        forms = rng.choices(tuple(SHARES), weights=tuple(SHARES.values()), k=size)
        rows = [row(next(endless), form) for form in forms]
        text = "".join(json.dumps(each) + "\n" for each in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    print(f"made       {folder}/ ({', '.join(f'{name}.jsonl: {size} problems' for name, size in SIZES.items())})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
