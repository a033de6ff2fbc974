"""Mixtures: what weights and the stopping rule promise of rows, and what of two sources cannot be one."""

from collections import Counter

import pytest
from datasets import Dataset

from expctl.data import mixture


def source(name, rows, **columns):
    made = [{"prompt": f"{name} {number}", **columns} for number in range(rows)]
    return Dataset.from_list(made), Dataset.from_list([{"prompt": f"{name} held out", **columns}])


def mixed(sources, **options):
    return mixture.load(kind="prompt-only", seed=options.pop("seed", 0), sources=sources, **options)


@pytest.mark.parametrize("weights", [None, {"a": 3, "b": 1}])
def test_a_mixture_that_ends_with_the_first_source_has_no_row_twice_and_all_of_one_source(weights):
    train, _ = mixed({"a": source("a", 400), "b": source("b", 30)}, weights=weights)
    assert len(set(train["prompt"])) == len(train)
    assert Counter(train["source"])["b"] == 30 or Counter(train["source"])["a"] == 400
    assert all(prompt.startswith(name) for prompt, name in zip(train["prompt"], train["source"], strict=True))


def test_weights_are_the_shares_of_the_draws():
    train, _ = mixed({"a": source("a", 4000), "b": source("b", 4000)}, weights={"a": 3, "b": 1})
    share = Counter(train["source"])["a"] / len(train)
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / len(train)) ** 0.5


def test_a_mixture_that_ends_with_the_last_source_has_every_row():
    train, _ = mixed({"a": source("a", 40), "b": source("b", 7)}, stopping="all_exhausted")
    assert set(train["prompt"]) == {f"a {i}" for i in range(40)} | {f"b {i}" for i in range(7)}


def test_the_same_seed_draws_the_same_rows_and_another_one_others():
    def prompts(seed):
        return mixed({"a": source("a", 50), "b": source("b", 50)}, weights={"a": 1, "b": 1}, seed=seed)[0]["prompt"][:]

    assert prompts(1) == prompts(1) != prompts(2)


def test_what_is_held_out_is_all_sources_or_each_by_its_name():
    sources = {"a": source("a", 5), "b": source("b", 5)}
    _, together = mixed(sources)
    assert [(row["prompt"], row["source"]) for row in together] == [("a held out", "a"), ("b held out", "b")]
    _, apart = mixed(sources, eval_by_source=True)
    assert {name: part["prompt"][:] for name, part in apart.items()} == {"a": ["a held out"], "b": ["b held out"]}


def test_rows_are_the_first_of_the_mixture_and_a_column_of_one_source_is_empty_in_the_other():
    train, _ = mixed({"a": source("a", 50, answer="1"), "b": source("b", 50)}, rows=6)
    assert len(train) == 6
    assert {row["answer"] for row in train if row["source"] == "b"} == {None}


def test_a_column_of_the_data_that_is_called_source_makes_room():
    train, _ = mixed({"a": source("a", 5, source="of the web"), "b": source("b", 5)})
    assert set(train["source"]) == {"a", "b"}


def test_a_column_with_numbers_in_one_source_and_texts_in_another_is_named():
    with pytest.raises(ValueError, match=r"dataset\.sources\.b: its column 'answer' holds .*string.* and that of a "):
        mixed({"a": source("a", 5, answer=3), "b": source("b", 5, answer="3")})
