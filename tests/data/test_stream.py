"""`dataset.streaming=true`: the rows of files as they are trained on, without those that ask what is held out."""

import json

import pytest
from resuming import resumed, whole

from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.data import files
from expctl.data.rows import training_rows


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def sums(tmp_path):
    """60 rows; every prompt is there twice, 30 rows apart."""
    rows = [{"prompt": f"{n % 30}+1=", "completion": f" {n}", "level": n} for n in range(60)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "sums.jsonl")


def loaded(path, **options):
    return files.load(kind="prompt-completion", seed=0, path=path, streaming=True, **options)


def levels(rows):
    return [row["level"] for row in rows]


def test_the_first_rows_are_held_out_and_what_asks_the_same_is_not_trained_on(sums):
    train, held_out = loaded(sums, eval_size=10)
    assert levels(held_out) == [*range(10)]
    assert levels(train) == [*range(10, 30), *range(40, 60)] == levels(train), "a second pass is the same"
    assert not {row["prompt"] for row in train} & set(held_out["prompt"])


def test_rows_are_those_of_a_load_and_a_set_of_its_own_is_whole(sums):
    train, held_out = loaded(sums, eval_path=sums)
    whole_set, _ = files.load(kind="prompt-completion", seed=0, path=sums, eval_path=sums)
    assert list(train) == list(whole_set) and len(held_out) == 60
    assert levels(loaded(sums, eval_path=sums, rows=7)[0]) == [*range(7)]


def test_a_shuffled_stream_has_every_row_once_in_an_order_that_follows_the_seed(sums):
    options = {"kind": "prompt-completion", "path": sums, "eval_path": sums, "streaming": True, "shuffle": True}
    orders = [levels(files.load(seed=seed, **options)[0]) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[2]) == [*range(60)] != orders[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"eval_size": 0.5}, "dataset.eval_size=0.5 is no number of rows"),
        ({"eval_size": 30}, "dataset.eval_size=30 leaves no row"),
        ({"deduplicate": "prompt"}, "dataset.deduplicate=prompt looks at all rows"),
        ({"held_out_by": "level"}, "dataset.held_out_by=level looks at all rows"),
    ],
)
def test_what_needs_all_rows_is_refused(options, said, sums):
    with pytest.raises(ValueError, match=f"^{said}"):
        loaded(sums, **options)


def test_a_row_that_cannot_be_one_is_named_when_it_comes(sums):
    with open(sums, "a") as file:
        file.write('{"prompt": "", "completion": "x", "level": 1}\n')
    with pytest.raises(ValueError, match="column 'prompt' is empty in row 61"):
        list(loaded(sums, eval_size=10)[0])


def test_it_is_a_key_of_files_whose_number_of_rows_is_not_known(sums):
    words = ["algorithm=sft", "hardware=cpu", "dataset=files", f"dataset.path={sums}", "dataset.streaming=true"]
    experiment = compose(words)
    assert check(experiment) == [] and training_rows(experiment.config["dataset"]) is None
    (refusal,) = check(compose([*words, "dataset.deduplicate=prompt"]))
    assert "looks at all rows" in refusal.what


def test_a_resumed_training_on_a_stream_is_the_undisturbed_one(sums, tmp_path):
    words = ["algorithm=sft", "dataset=files", f"dataset.path={sums}", "dataset.streaming=true", "dataset.shuffle=true"]
    words += ["args.max_steps=3", "args.learning_rate=1e-2", "args.warmup_steps=0"]
    undisturbed = whole(tmp_path / "whole", *words)
    assert undisturbed.steps == 3
    resumed(tmp_path / "whole", 2, *words).assert_equals(undisturbed)
