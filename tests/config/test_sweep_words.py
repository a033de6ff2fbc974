"""What a sweep's file gives, and what is typed over it."""

from expctl.config.sweep_words import open_key, sweep_words


def test_a_key_that_is_typed_takes_the_place_of_the_files():
    words = sweep_words({"seed": "0,1,2", "args.learning_rate": "1e-3,1e-4"}, ["sweep=mine", "seed=7"])
    assert words == ["++args.learning_rate=1e-3,1e-4", "seed=7"]


def test_a_key_that_is_typed_is_known_in_any_spelling():
    assert sweep_words({"args.beta": "0,1"}, ["++args.beta=0.5"]) == ["++args.beta=0.5"]


def test_the_sweeps_own_file_is_no_part_of_a_cell():
    assert sweep_words(None, ["sweep=seeds", "algorithm=sft"]) == ["algorithm=sft"]


def test_fields_and_parts_need_no_plus_and_bear_one():
    assert open_key("args.weight_decay=0.1") == "++args.weight_decay=0.1"
    assert open_key("+args.weight_decay=0.1") == "++args.weight_decay=0.1"
    assert open_key("+sweep=seeds") == "sweep=seeds"
    assert open_key("seed=1") == "seed=1"
