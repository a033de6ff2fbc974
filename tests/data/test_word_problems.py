"""The word problems of experiment=smollm2_words: what the script writes is right, and the same every time."""

import json
import re
import runpy

import pytest
from harness import REPOSITORY

from expctl.rewards.math_answer import accuracy

SCRIPT = runpy.run_path(str(REPOSITORY / "scripts" / "make_word_problems.py"))
STEP = re.compile(r"(\d+)([+-]\d+)=(\d+)")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows of each file, by its name."""
    folder = tmp_path_factory.mktemp("problems")
    assert SCRIPT["main"](["--output", str(folder)]) == 0
    return {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in folder.iterdir()}


def test_the_same_bytes_are_written_again(tmp_path):
    for folder in ("first", "second"):
        SCRIPT["main"](["--output", str(tmp_path / folder)])
    for name in SCRIPT["SIZES"]:
        first, second = [(tmp_path / folder / f"{name}.jsonl").read_bytes() for folder in ("first", "second")]
        assert first == second


def test_no_problem_is_in_two_files_or_twice_in_one(rows):
    prompts = [row["prompt"] for file in rows.values() for row in file]
    assert len(set(prompts)) == len(prompts) == sum(SCRIPT["SIZES"].values())


def test_every_form_is_written_and_each_solution_is_rewarded(rows):
    for file in rows.values():
        assert {row["form"] for row in file} == set(SCRIPT["FORMS"])
        assert accuracy([row["completion"] for row in file], [row["answer"] for row in file]) == [1.0] * len(file)


def test_every_sum_of_a_solution_is_true_and_follows_from_the_question(rows):
    for row in rows["worked"]:
        start, first, second = map(int, re.findall(r"\d+", row["prompt"]))
        steps = [(int(before), int(change), int(after)) for before, change, after in STEP.findall(row["completion"])]
        assert all(before + change == after for before, change, after in steps)
        if row["form"] != "at once":
            assert [abs(change) for _, change, _ in steps[:2]] == [first, second]
            assert steps[0][0] == start and steps[1][0] == steps[0][2] and steps[1][2] == int(row["answer"])
