"""The kind that an algorithm learns from is made of what the data have, where it follows; else the way is told."""

import json

import pytest
from datasets import Dataset
from trl.data_utils import unpair_preference_dataset

from expctl.data import check, files


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def says(role: str, text: str) -> dict:
    return {"role": role, "content": text}


def loaded(kind: str, *rows: dict, **given) -> list[dict]:
    """The rows as a trainer of `kind` gets them; the parent has let them pass."""
    with open("rows.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    with open("other.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    named = {"kind": kind, "seed": 0, "path": "rows.jsonl", "eval_path": "other.jsonl", **given}
    check.check_dataset({"_target_": "expctl.data.files.load", **named})
    return files.load(**named)[0].to_list()


ASKED, ANSWERED = [says("user", "1+1?")], [says("assistant", "2")]
PAIR = {"prompt": "1+1=", "chosen": "2", "rejected": "3"}
IMPLICIT = {"chosen": [*ASKED, *ANSWERED], "rejected": [*ASKED, says("assistant", "3")]}
TURNS = {"messages": [*ASKED, *ANSWERED]}
SHAREGPT = {"conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}]}
ALPACA = {"instruction": "Add.", "input": "1, 1", "output": "2"}
ALPACA_ALONE = {"instruction": "Say 2.", "input": "", "output": "2"}

MADE = {
    ("prompt-only", "preferences"): (PAIR, {"prompt": "1+1="}),
    ("prompt-only", "implicit preferences"): (IMPLICIT, {"prompt": ASKED}),
    ("prompt-only", "messages"): (TURNS, {"prompt": ASKED}),
    ("prompt-only", "ShareGPT"): (SHAREGPT, {"prompt": ASKED}),
    ("prompt-only", "Alpaca"): (ALPACA, {"prompt": "Add.\n\n1, 1"}),
    ("prompt-completion", "preferences"): (PAIR, {"prompt": "1+1=", "completion": "2"}),
    ("prompt-completion", "implicit preferences"): (IMPLICIT, {"prompt": ASKED, "completion": ANSWERED}),
    ("prompt-completion", "messages"): (TURNS, {"prompt": ASKED, "completion": ANSWERED}),
    ("prompt-completion", "ShareGPT"): (SHAREGPT, {"prompt": ASKED, "completion": ANSWERED}),
    ("prompt-completion", "Alpaca"): (ALPACA, {"prompt": "Add.\n\n1, 1", "completion": "2"}),
    ("prompt-completion", "Alpaca without input"): (ALPACA_ALONE, {"prompt": "Say 2.", "completion": "2"}),
    ("prompt-completion", "text"): ({"text": "one two"}, {"text": "one two"}),
    ("messages", "messages"): (TURNS, TURNS),
    ("messages", "ShareGPT"): (SHAREGPT, TURNS),
    ("messages", "texts"): ({"prompt": "1+1?", "completion": "2"}, TURNS),
    ("messages", "preferences"): (IMPLICIT, TURNS),
    ("messages", "Alpaca"): (ALPACA_ALONE, {"messages": [says("user", "Say 2."), *ANSWERED]}),
    ("triple-preference", "texts"): (PAIR | {"reference": " 2"}, PAIR | {"reference": " 2"}),
    ("triple-preference", "turns"): (
        {"prompt": ASKED, "chosen": ANSWERED, "rejected": "3", "reference": "2!"},
        {
            "prompt": ASKED,
            "chosen": ANSWERED,
            "rejected": [says("assistant", "3")],
            "reference": [says("assistant", "2!")],
        },
    ),
    ("privileged-context", "a hint"): (
        {"prompt": "1+1=", "privileged_context": "It is even."},
        {"prompt": "1+1=", "privileged_context": "It is even."},
    ),
    ("text", "text"): ({"text": "one two", "source": "x"}, {"text": "one two", "source": "x"}),
    ("unpaired-preference", "labels"): (
        {"prompt": "1+1=", "completion": "3", "label": False},
        {"prompt": "1+1=", "completion": "3", "label": False},
    ),
    ("unpaired-preference", "ShareGPT and 0 or 1"): (
        SHAREGPT | {"label": 1},
        {"prompt": ASKED, "completion": ANSWERED, "label": True},
    ),
    ("preference", "ShareGPT with single turns"): (
        {
            "conversations": SHAREGPT["conversations"][:1],
            "chosen": SHAREGPT["conversations"][1],
            "rejected": {"from": "gpt", "value": "3"},
        },
        {"prompt": ASKED, "chosen": ANSWERED, "rejected": [says("assistant", "3")]},
    ),
    ("stepwise", "steps"): (
        {"prompt": "1+1=", "completions": ["1+1", "is 3"], "labels": [True, False]},
        {"prompt": "1+1=", "completions": ["1+1", "is 3"], "labels": [True, False]},
    ),
}


@pytest.mark.parametrize(("kind", "form"), MADE)
def test_a_kind_follows_from_the_form_that_the_data_have(kind, form):
    row, expected = MADE[kind, form]
    for made in loaded(kind, row, row):
        further = {} if kind == "prompt-only" else made  # other columns stay for the rewards
        assert {name: made[name] for name in {**further, **expected}} == expected


def test_preferences_become_two_rows_each_as_trl_has_it():
    rows = [{"prompt": f"{n}+1=", "chosen": str(n + 1), "rejected": str(n), "source": "x"} for n in range(3)]
    assert loaded("unpaired-preference", *rows) == unpair_preference_dataset(Dataset.from_list(rows)).to_list()


def test_tools_and_the_calls_of_them_reach_the_trainer():
    call = {"type": "function", "function": {"name": "add", "arguments": {"first": 1}}}
    turns = [*ASKED, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "name": "add", "content": "2"}]
    (row,) = loaded("prompt-completion", {"messages": [*turns, *ANSWERED], "tools": "[]"})
    assert row["prompt"][1]["tool_calls"] == [call] and row["prompt"][1]["content"] == ""
    assert row["tools"] == "[]" and row["completion"][0]["content"] == "2"


REFUSED = {
    "text for prompts": ("prompt-only", {"text": "one"}, "these rows are text data: algorithm=sft learns from them"),
    "messages for preferences": ("preference", TURNS, "prompt-completion data: algorithm=sft"),
    "labels for preferences": ("preference", {"prompt": "a", "completion": "b", "label": True}, "algorithm=sft"),
    "a label that is none": (
        "unpaired-preference",
        {"prompt": "a", "completion": "b", "label": "good"},
        "true or false",
    ),
    "steps without labels": ("stepwise", {"prompt": "a", "completions": ["b"], "labels": []}, "as many labels"),
    "one step": ("stepwise", {"prompt": "a", "completions": "b", "labels": [True]}, "lists of texts"),
    "images": ("prompt-completion", {"prompt": "a", "completion": "b", "images": ["c.png"]}, "c.png is not there"),
    "an empty text": ("text", {"text": " "}, "column 'text' is empty"),
    "an empty conversation": ("messages", {"messages": [says("user", " ")]}, "column 'messages' is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_follow_is_refused_by_the_parent_with_the_way(case):
    kind, row, words = REFUSED[case]
    with pytest.raises(ValueError, match=r"dataset\.path=rows\.jsonl") as refusal:
        loaded(kind, row, row)
    assert words in str(refusal.value)


def test_texts_that_repeat_are_held_out_together(tmp_path):
    rows = [{"text": f"line {n % 5}"} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train, held_out = files.load(kind="text", seed=0, path="rows.jsonl", eval_size=4)
    assert len(held_out) == 4 and not set(train["text"]) & set(held_out["text"])


@pytest.mark.parametrize("row", [TURNS, SHAREGPT, ALPACA, PAIR, {"prompt": "1+1=", "completion": "So it is 2"}])
def test_the_answer_is_read_where_it_stands(row):
    assert [made["answer"] for made in loaded("prompt-only", row, row | {"n": 1}, answer="last_number")] == ["2", "2"]


def test_a_column_that_is_mapped_is_the_only_one_that_an_answer_is_read_from():
    with pytest.raises(ValueError, match=r"dataset\.answer=last_number: the data have no column 'gold'"):
        loaded("prompt-only", ALPACA, answer="last_number", columns={"answer": "gold"})


def test_what_only_the_teacher_is_told_may_be_a_completion_by_name():
    row = {"prompt": "1+1=", "completion": "2"}
    told = loaded("privileged-context", row, row, columns={"privileged_context": "completion"})
    assert told == [{"prompt": "1+1=", "privileged_context": "2"}] * 2


def test_a_triple_without_its_gold_completion_is_a_pair_for_dpo():
    with pytest.raises(ValueError, match="no column 'reference'(.|\n)*algorithm=dpo"):
        loaded("triple-preference", PAIR, PAIR)


def test_steps_are_told_apart_and_named():
    with pytest.raises(ValueError, match="no trainer of TRL learns since 1.14"):
        loaded("prompt-completion", {"prompt": "1+1", "completions": ["2"], "labels": [True]})
