"""`expctl sample` by the installed command: what it says, and that nothing is made."""

import json

import pytest
from harness import expctl

from expctl.report.side_by_side import side_by_side

WORDS = ["hardware=cpu", "dataset.train_size=64", "dataset.eval_size=16"]


def test_models_answer_side_by_side_and_as_json_and_are_rewarded_where_the_dataset_knows_the_prompt(tmp_path):
    done = expctl("sample", "tiny", "--held-out", "2", "-n", "3", "--json", *WORDS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["model"] for row in rows] == ["tiny"] * 2
    for row in rows:
        assert len(row["completions"]) == 3 and len({one["text"] for one in row["completions"]}) > 1
        left, right = row["prompt"].removesuffix("=").split("+")
        for one in row["completions"]:
            is_right = one["text"].endswith(f" so {int(left) + int(right)}")
            assert one["rewards"] == {"accuracy": float(is_right)} and one["ended"]
    shown = expctl("sample", "tiny", "12+34=", "args.temperature=0", *WORDS, cwd=tmp_path)
    assert shown.returncode == 0 and shown.stdout.startswith("12+34=\n\n") and "tokens]" in shown.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "sample needs a run or a model"),
        (["nope", "hello there"], "no run is called 'nope'"),
        (["tiny", "hello there", "and more"], "takes one prompt"),
        (["tiny", "hello", "-n", "0"], "no number '0'"),
        (["tiny", "hello", "--held-out", "3"], "takes the place of a prompt"),
        (["tiny", "hello", "dataset=nope"], "nope"),
        (["tiny", "hello", "args.learning_rate=1"], "an evaluation trains nothing"),
    ],
)
def test_what_cannot_be_sampled_is_refused(words, said, tmp_path):
    done = expctl("sample", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


def test_completions_stand_side_by_side_within_the_width():
    one = {"text": "word " * 20, "tokens": 20, "ended": False, "rewards": {"right": 0.5}}
    lines = side_by_side("a prompt", {"first": [one, one], "second": [one, one]}, 80)
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == ["first", "second"]  # three would fit, and part what belongs together
    assert sum(line.count("[right 0.5, 20 tokens, cut off]") for line in lines) == 4
    narrow = side_by_side("a prompt", {"first": [one, one]}, 30)
    assert max(map(len, narrow)) <= 30 and sum("right 0.5" in line for line in narrow) == 2
