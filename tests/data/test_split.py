"""What is held out: the size, by whole prompts where they repeat; parent and worker count alike."""

import json
import re

import pytest

from expctl.data import files
from expctl.data.check import check_dataset
from expctl.data.held_out import size_held_out
from expctl.data.rows import training_rows


def turns(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def options(tmp_path):
    """The options of a file with a row for each prompt, further ones given by name."""

    def write(prompts, **further):
        rows = [{"prompt": prompt, "answer": str(place)} for place, prompt in enumerate(prompts)]
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        path = str(tmp_path / "rows.jsonl")
        return {"_target_": "expctl.data.files.load", "kind": "prompt-only", "seed": 0, "path": path, **further}

    return write


def load(options):
    return files.load(**{key: value for key, value in options.items() if key != "_target_"})


PROMPTS = {
    "each once": [f"{n}" for n in range(40)],
    "each four times": [f"{n % 20}" for n in range(80)],
    "conversations, three times": [turns(f"{n % 5}") for n in range(15)],
    "one often": ["a"] * 30 + ["b", "c"],
    "larger than what is held out": ["a"] * 10 + ["b"] * 10,
}


@pytest.mark.parametrize("case", PROMPTS)
@pytest.mark.parametrize("eval_size", [None, 0.2, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_held_out_prompt_is_trained_on_and_the_parent_knows_how_many_rows_are(options, case, eval_size, seed):
    given = options(PROMPTS[case], eval_size=eval_size, seed=seed)
    train, held_out = load(given)
    assert not {str(prompt) for prompt in train["prompt"]} & {str(prompt) for prompt in held_out["prompt"]}
    assert sorted(map(int, [*train["answer"], *held_out["answer"]])) == list(range(len(PROMPTS[case])))
    assert len(held_out) > 0
    assert training_rows(given) == len(train)


def test_one_prompt_for_all_rows_is_split_by_rows(options):
    given = options(["a"] * 20)
    train, held_out = load(given)
    assert (len(train), len(held_out)) == (18, 2)
    assert training_rows(given) == 18


def test_a_size_that_is_neither_rows_nor_a_share_is_refused():
    with pytest.raises(ValueError, match=r"dataset\.eval_size=1\.5 is neither"):
        size_held_out(9, 1.5, where="a file")


@pytest.mark.parametrize("eval_size", [9, 200, 0.99, 0, 0.01])
def test_a_size_that_leaves_nothing_is_refused_in_the_parent_as_in_the_worker(options, eval_size):
    given = options([f"{n}" for n in range(9)], eval_size=eval_size)
    with pytest.raises(ValueError, match=rf"dataset\.eval_size={eval_size} holds out \d+ of the 9 rows") as worker:
        load(given)
    with pytest.raises(ValueError, match=f"^{re.escape(str(worker.value))}$"):
        check_dataset(given)
    assert training_rows(given) is None


def test_a_file_of_one_row_is_refused_with_what_to_give(options):
    given = options(["a"])
    for refuse in (load, check_dataset):
        with pytest.raises(ValueError, match=r"rows\.jsonl has 1 row, .*dataset\.eval_path"):
            refuse(given)


def test_the_training_file_is_no_file_to_evaluate_on_by_any_of_its_names(options, tmp_path):
    given = options(["a", "b"])
    link = tmp_path / "link.jsonl"
    link.symlink_to(given["path"])
    for path in (given["path"], str(link)):
        with pytest.raises(ValueError, match=r"dataset\.eval_path=.* is the training file"):
            check_dataset({**given, "eval_path": path})
