"""What `expctl data` says of rows: tokens as trainers name them, lengths, repetitions, overlap, balance, odd cells."""

import random

import pytest

from expctl.worker.data_view import contents, lengths, tokens
from expctl.worker.data_view.tokens import Sequence


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}, [("row", [1, 2, 3], [0, 1, 1])]),
        ({"input_ids": [1, 2, 3], "completion_mask": [0, 0, 1]}, [("row", [1, 2, 3], [0, 0, 1])]),
        ({"input_ids": [1, 2]}, [("row", [1, 2], [1, 1])]),
        (
            {"prompt_ids": [1], "chosen_ids": [2, 3], "rejected_ids": [4]},
            [("chosen", [1, 2, 3], [0, 1, 1]), ("rejected", [1, 4], [0, 1])],
        ),
        (
            {"prompt_input_ids": [1], "chosen_input_ids": [1, 2], "chosen_labels": [-100, 2]},
            [("chosen", [1, 2], [0, 1])],
        ),
        ({"prompt_ids": [1], "completion_ids": [2], "label": True}, [("completion", [1, 2], [0, 1])]),
        ({"prompt": "text"}, []),
    ],
)
def test_a_prepared_row_is_read_by_the_names_that_trainers_give_it(row, expected):
    found = [(each.name, each.ids, [int(cell) for cell in each.trained]) for each in tokens.of_prepared_row(row)]
    assert found == expected


def test_lengths_are_those_of_prompt_rest_and_whole_row():
    rows = [[Sequence("row", [0] * 5, [False] * 2 + [True] * 3)], [Sequence("row", [0] * 3, [True] * 3)]]
    assert lengths.lengths(rows) == {"prompt": [2], "completion": [3, 3], "whole": [5, 3]}
    assert lengths.lengths([[Sequence("prompt", [0] * 4, [False] * 4)]]) == {"prompt": [4]}


@pytest.mark.parametrize("far", [1, 10, 100_000])
def test_each_row_is_in_the_bin_of_its_length(far):
    random.seed(0)
    values = [random.randint(3, 60) for _ in range(500)] + [60 * far]
    found = lengths.summary(values)
    assert (found["min"], found["max"], found["rows"]) == (min(values), max(values), 501)
    assert found["p95"] <= 60, "one long row does not flatten the rest"
    for each in found["histogram"]:
        assert each["rows"] == sum(each["from"] <= value <= each["to"] for value in values)
    assert sum(each["rows"] for each in found["histogram"]) == 501 and len(found["histogram"]) <= lengths.BINS + 1


def test_rows_that_repeat_are_told_from_rows_that_repeat_a_prompt():
    row = {"prompt": "1+1=", "completion": "2"}
    assert contents.repetitions([row, row, row | {"completion": "two"}, {"prompt": "2+2=", "completion": "4"}]) == {
        "rows": 1,
        "prompts": 2,
    }


def test_overlap_is_by_content_and_nearly_the_same_is_told_apart():
    train = [{"prompt": [{"role": "user", "content": "What is 2?"}]}, {"prompt": "Say it"}]
    held_out = [{"prompt": [{"content": "What is 2?", "role": "user"}]}, {"prompt": " say  it"}, {"prompt": "other"}]
    found = contents.overlap(train, held_out)
    assert (found["rows"], found["same"], found["nearly"]) == (3, 1, 1)


def test_values_that_come_again_and_again_are_counted():
    rows = [{"label": index % 4 == 0, "text": f"{index}", "steps": [True, index % 2 == 0]} for index in range(40)]
    assert contents.balance(rows) == {"label": {"false": 30, "true": 10}, "steps": {"true": 60, "false": 20}}


ODD = {
    "": "empty",
    " \n": "empty",
    "a <|im_end|> b": "a special token of the tokenizer",
    "a\ufffdb": "a character that could not be read (U+FFFD)",
    "\x1b[31m": "a control character",
    "Caf\u00c3\u00a9": "letters of a wrong encoding",
    "it\u00e2\u20ac\u2122s": "letters of a wrong encoding",
    "a &amp; b": "an HTML entity",
    "<think>a</think><think>b": "reasoning that is not closed (<think>)",
}


@pytest.mark.parametrize("text", ODD)
def test_a_cell_that_looks_wrong_is_named_with_its_first_row(text):
    rows = [{"prompt": "fine"}, {"prompt": [{"role": "user", "content": text}]}, {"prompt": text}]
    [found] = contents.odd_cells(rows, ["<|im_end|>"])
    assert (found["what"], found["column"], found["rows"], found["first"]) == (ODD[text], "prompt", 2, 2)


def test_cells_that_are_as_they_should_be_are_not_odd():
    texts = ["a && b; c", "&nothing;", "<think>a</think> b", "\u00c9t\u00e9, \u4f60\u597d, \ud83d\ude00\n\tx", "0"]
    assert (
        contents.odd_cells(
            [{"prompt": text, "label": False, "turns": [{"content": text}]} for text in texts], ["x" * 3]
        )
        == []
    )


def test_a_missing_cell_and_equal_sides_are_odd():
    rows = [{"prompt": None, "chosen": "a", "rejected": "a"}]
    assert {each["what"] for each in contents.odd_cells(rows, [])} == {"missing", "chosen and rejected are the same"}
    assert contents.preferences([{"chosen": "ab", "rejected": "a"}, {"chosen": "a", "rejected": "b"}]) == {
        "longer": 1,
        "as long": 1,
        "shorter": 0,
    }
