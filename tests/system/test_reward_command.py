"""`expctl reward`: the rewards of given completions, with what each function read of them."""

import json

import pytest

from tests.fabricated import completed
from tests.harness import expctl

ROWS = [
    {"prompt": "6*3?", "completion": "So it is \\boxed{18}.", "answer": "18"},
    {"prompt": "6*3?", "completion": "<think>it is 18", "answer": "18"},
    {"prompt": "6*3?", "completion": "\\boxed{18}", "answer": "18", "truncated": True},
    {"prompt": [{"role": "user", "content": "6*3?"}], "completion": [{"role": "assistant", "content": "19"}],
     "answer": "18"},
]  # fmt: skip
MINE = """
import asyncio

async def judge(completions, answer, truncated, log_extra, **columns):
    await asyncio.sleep(0)
    log_extra("verdict", ["\\x1b[2Jbad" if cut else "good" for cut in truncated])
    return [None if cut else 0.5 for cut in truncated]

def fails(completions, **columns):
    return [1 / len(completion) for completion in completions if completion != "\\\\boxed{18}"]

def lengths(completions, completion_ids, **columns):
    return [len(ids) for ids in completion_ids]
"""
ACCURACY = "reward.functions={right: {_target_: expctl.rewards.math_answer.accuracy}, judge: {_target_: mine.judge}}"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def test_rewards_weights_gates_and_what_was_read(folder):
    words = [ACCURACY, "reward.gates={judge: right}", "reward.weights={judge: [[0, 0], [9, 2]]}"]
    done = expctl("reward", *words, "--on", "answers.jsonl", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [row["rewards"]["right"] for row in said["rows"]] == [1.0, 0.0, 0.0, 0.0]
    assert [row["rewards"]["judge"] for row in said["rows"]] == [0.5, 0.0, None, 0.0]
    assert [row["reward"] for row in said["rows"]] == [2.0, 0.0, 0.0, 0.0]
    assert said["functions"]["judge"] == {"weight": 2.0, "mean": pytest.approx(0.5 / 3), "missing": 1}
    why = [row["why"]["right"] for row in said["rows"]]
    assert [each["answer read"] for each in why] == ["18", "unfinished", "unfinished", "19"]
    assert {each["right answer"] for each in why} == {"18"}
    assert said["rows"][0]["why"]["judge"] == {"verdict": "good"}


def test_a_table_for_people_shows_so_many_rows_and_obeys_none_of_them(folder):
    done = expctl("reward", ACCURACY, "--on", "answers.jsonl", "--rows", "3", cwd=folder, COLUMNS="110")
    assert done.returncode == 0, done.stderr
    assert "4 completions of answers.jsonl" in done.stdout and "1 row more: --rows all" in done.stdout
    assert "judge is missing for 1 completion" in done.stdout and "\\u001b[2Jbad" in done.stdout
    assert "\x1b[2J" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 110
    first = next(line for line in done.stdout.splitlines() if "So it is" in line)
    assert first.split()[:4] == ["1", "1", "0.5", "1.5"]


def test_columns_come_from_the_dataset_s_row_of_the_same_prompt(folder):
    rows = [{"prompt": "17*23=", "completion": " so 391"}, {"prompt": "1+1=", "completion": "2"}]
    (folder / "data.jsonl").write_text("".join(json.dumps({**row, "answer": "391"}) + "\n" for row in rows * 3))
    (folder / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["dataset=files", "dataset.path=data.jsonl"]
    done = expctl("reward", *words, "--on", "two.jsonl", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [row["reward"] for row in json.loads(done.stdout)["rows"]] == [1.0, 0.0]
    other = expctl("reward", "--on", "two.jsonl", cwd=folder)
    assert other.returncode == 2
    assert "the reward 'accuracy' needs 'answer', which row 1 of the file does not have, and no row" in other.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "reward needs completions"),
        (["--on"], "--on needs a value"),
        (["--on", "none.jsonl"], "none.jsonl cannot be read"),
        (["--on", "mine.py"], "mine.py, line 2 is no JSON"),
        (["--on", "wrong.jsonl"], "wrong.jsonl, line 1 has no `completion`, but completions, prompt"),
        (["--on", "answers.jsonl", "--rows", "few"], "--rows takes a number, or all"),
        (["--on", "answers.jsonl", "-m"], "reward takes one experiment"),
        (["--on", "answers.jsonl", "reward.weights={a: 1}"], "'reward.weights.a' weighs no reward"),
        (
            ["--on", "answers.jsonl", "reward.functions={mine: {_target_: mine.fails}}"],
            "reward 'mine' returned 3 values",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_rewarded_is_refused(words, message, folder):
    (folder / "wrong.jsonl").write_text('{"completions": "a", "prompt": "b"}\n')
    done = expctl("reward", *words, cwd=folder)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not (folder / "outputs").exists()


def test_what_is_in_tokens_is_counted_by_the_model_s_tokenizer(folder):
    done = expctl(
        "reward", "reward.functions={long: {_target_: mine.lengths}}", "--on", "answers.jsonl", "--json", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    whole, cut = (json.loads(done.stdout)["rows"][index]["reward"] for index in (0, 2))
    assert whole > cut > 5


def test_a_run_is_rewarded_by_its_own_words_in_whose_place_come_those_that_are_typed(folder, monkeypatch):
    monkeypatch.chdir(folder)
    own = "reward.functions={long: {_target_: mine.lengths}, mark: {_target_: mine.one}}"
    (folder / "mine.py").write_text(MINE + "\ndef one(completions, **columns):\n    return [1.0] * len(completions)\n")
    run = completed(own, "dataset.train_size=32", "reward.weights={long: 2}")
    sample = {"step": 0, "kind": "eval", "prompt": "17*23=", "completion": " so 391", "rewards": {}}
    run.samples.write_text("".join(json.dumps({**sample, "truncated": cut}) + "\n" for cut in (False, True)))

    def said(*words, cwd=folder):
        done = expctl("reward", *words, "--on", str(run.folder), "--json", cwd=cwd)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    alone = said()
    assert {name: of["weight"] for name, of in alone["functions"].items()} == {"long": 2.0, "mark": 1.0}
    whole, cut = (row["rewards"]["long"] for row in alone["rows"])
    assert whole == cut + 1  # the token that ends it
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    assert said(cwd=elsewhere) == alone
    heavier = said("reward.weights={mark: 5}")
    assert {name: of["weight"] for name, of in heavier["functions"].items()} == {"long": 1.0, "mark": 5.0}
    assert list(said("reward.functions={mark: {_target_: mine.one}}", "reward.weights=null")["functions"]) == ["mark"]

    refused = expctl("reward", "reward.weights=null", "--on", str(run.folder), cwd=elsewhere)
    assert refused.returncode == 2 and f"the run was started in {folder}" in refused.stderr
    run.config.write_text(run.config.read_text() + "\n")
    refused = expctl("reward", "--on", str(run.folder), cwd=folder)
    assert refused.returncode == 2 and "reward --on executes its code" in refused.stderr
    assert f"expctl reward --on {run.folder} --trust" in refused.stderr
