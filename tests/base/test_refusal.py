"""A refusal says what set a value only where something did."""

import pytest

from expctl.base.refusal import Refusal, where_set


@pytest.mark.parametrize("where", ["args.beta=0 (command line)", "args.beta (mine.yaml:3)", "a, b=1 (command line)"])
def test_a_word_or_a_line_of_a_file_has_set_it(where):
    assert f"  set by   {where}" in str(Refusal("wrong", where=where))


@pytest.mark.parametrize("where", ["hardware.num_processes", "/somewhere/outputs/run-1", "tracker.uri"])
def test_a_key_that_nobody_set_and_a_path_are_only_named(where):
    assert f"  where    {where}" in str(Refusal("wrong", where=where))


SOURCES = {"args.beta": "args.beta=1 (command line)", "peft": "peft=lora (command line)"}
PLACES = {"peft.r": "conf/peft/lora.yaml:7", "model.path": "conf/model/tiny.yaml:12"}


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("args.beta", "args.beta=1 (command line)"),
        ("peft.r", "peft.r (peft=lora (command line))"),
        ("model.path", "model.path (conf/model/tiny.yaml:12)"),
        ("args.epsilon", "args.epsilon"),
    ],
)
def test_a_typed_word_goes_before_a_file_and_a_key_that_nobody_set_stands_alone(key, where):
    assert where_set(key, SOURCES, PLACES) == where
