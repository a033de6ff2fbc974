"""Rows are chosen and made by the config alone, alike in parent and worker; what cannot work is refused by its key."""

import json

import pytest

from expctl.data import answers, check, expression, files
from expctl.data.rows import training_rows


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


ROWS = [
    {"question": f"{n}+{n}?", "solution": f"{n} and {n} #### {2 * n}", "level": n % 4, "source": f"book {n // 5}"}
    for n in range(20)
]
GIVEN = {"kind": "prompt-only", "seed": 0, "path": "rows.jsonl", "columns": {"prompt": "question"}}


def options(made: list[dict] = ROWS, **given) -> dict:
    with open("rows.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in made)
    return {**GIVEN, **given}


def splits(made: list[dict] = ROWS, **given):
    named = options(made, **given)
    check.check_dataset({"_target_": "expctl.data.files.load", **named})
    train, held_out = files.load(**named)
    counted = training_rows({"_target_": "expctl.data.files.load", **named})
    if not named.get("deduplicate"):
        assert counted == len(train)
    return train, held_out


def refusal(made: list[dict] = ROWS, **given) -> str:
    named = options(made, **given)
    with pytest.raises(ValueError) as worker:
        files.load(**named)
    with pytest.raises(ValueError) as parent:
        check.check_dataset({"_target_": "expctl.data.files.load", **named})
    assert str(worker.value) == str(parent.value)
    return str(parent.value)


def test_a_prompt_is_made_of_columns_and_an_answer_of_the_solution():
    template = "{source}: {question}\nEnd with {{number}}."
    train, held_out = splits(template=template, answer="after_hashes", columns={"answer": "solution"}, eval_size=4)
    made = {row["prompt"]: row["answer"] for row in [*train, *held_out]}
    assert made == {f"book {n // 5}: {n}+{n}?\nEnd with {{number}}.": str(2 * n) for n in range(20)}


def test_an_answer_and_a_completion_may_come_from_one_column():
    columns = {"prompt": "question", "answer": "solution", "completion": "solution"}
    train, _ = splits(kind="prompt-completion", answer="after_hashes", columns=columns, eval_size=4)
    for row in train:
        assert row["completion"].endswith(f"#### {row['answer']}")


def test_only_rows_of_the_filter_are_used_and_the_first_of_them_trained_on():
    train, held_out = splits(filter="level >= 2 and 'book 3' != source", eval_size=2)
    assert len(train) == 5 and set(train["level"]) | set(held_out["level"]) == {2, 3}
    few, all_ = (splits(filter="level >= 2", rows=most, eval_size=2)[0]["prompt"] for most in (3, None))
    assert few == all_[:3] and len(all_) == 8


def test_shuffled_rows_follow_the_seed_and_are_the_same_rows():
    plain, mixed = splits(eval_size=4)[0]["prompt"], splits(eval_size=4, shuffle=True)[0]["prompt"]
    assert plain != mixed and sorted(plain) == sorted(mixed)
    assert mixed == splits(eval_size=4, shuffle=True)[0]["prompt"]


def test_rows_that_repeat_a_column_are_used_once():
    train, held_out = splits([*ROWS, *ROWS], deduplicate="prompt", eval_size=4)
    assert len(train) == 16 and not set(train["prompt"]) & set(held_out["prompt"])


def test_rows_of_one_source_stay_together_where_rows_are_held_out():
    train, held_out = splits(held_out_by="source", eval_size=5)
    assert set(held_out["source"]) and not set(held_out["source"]) & set(train["source"])


def test_a_system_prompt_begins_conversations_that_have_none():
    own = [{"role": "system", "content": "mine"}, {"role": "user", "content": "1+1?"}]
    without = [{"role": "user", "content": "2+2?"}]
    train, held_out = splits([{"prompt": own}, {"prompt": without}] * 2, columns={}, system_prompt="Be brief.")
    first = {row["prompt"][-1]["content"]: row["prompt"][0]["content"] for row in [*train, *held_out]}
    assert first == {"1+1?": "mine", "2+2?": "Be brief."}
    train, _ = splits(system_prompt="Be brief.", conversational=True, eval_size=4)
    assert [turn["role"] for turn in train[0]["prompt"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"filter": "levle > 2"}, "dataset.filter=levle > 2: the data have no column 'levle'. They have: question,"),
        ({"filter": "level >"}, "dataset.filter=level >: it is no expression"),
        ({"filter": "question > 2"}, "row 1: '>' not supported between instances of 'str' and 'int'"),
        ({"filter": "level > 9"}, "it has no row that dataset.filter keeps"),
        ({"template": "Hello"}, "names no column"),
        ({"template": "{question"}, "dataset.template={question: "),
        ({"template": "{quest}"}, "no column 'quest'"),
        ({"answer": "last"}, "there is no such rule; there are last_number, after_hashes, boxed"),
        ({"answer": "boxed"}, "the data have no column 'answer'"),
        (
            {"answer": "boxed", "columns": {"prompt": "question", "answer": "solution"}},
            "finds no answer in column 'solu",
        ),
        ({"answer": "(a"}, "no regular expression"),
        ({"rows": 0}, "dataset.rows=0"),
        ({"system_prompt": "Be brief."}, "dataset.conversational=true"),
    ],
)
def test_what_cannot_work_is_refused_alike_in_parent_and_worker(given, words):
    assert words in refusal(**given)


@pytest.mark.parametrize("key", ["deduplicate", "held_out_by"])
def test_a_column_that_is_not_there_is_named(key):
    words = rf"dataset\.{key}=sauce: no such column\. There are: .*source"
    named = options(**{key: "sauce"})
    for refuse in (files.load, lambda **given: check.check_dataset({"_target_": "expctl.data.files.load", **given})):
        with pytest.raises(ValueError, match=words):
            refuse(**named)


def test_completions_that_are_said_to_be_unwanted_are_not_learned_from_unasked():
    rows = [{"prompt": f"{n}+1=", "completion": str(n), "label": n % 2 == 0} for n in range(8)]
    assert "dataset.filter=label" in refusal(rows, kind="prompt-completion", columns={})
    train, held_out = splits(rows, kind="prompt-completion", columns={}, filter="label", eval_size=1)
    assert len(train) == 3 and all([*train["label"], *held_out["label"]])


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "question.__class__",
        "question.format(1)",
        "(lambda: 1)()",
        "[n for n in question]",
        "open('x')",
        "2 ** 9 ** 9",
        "f'{question}'",
        "(name := 1)",
        "len(question, key=1)",
    ],
)
def test_an_expression_does_nothing_but_look_at_columns(text):
    with pytest.raises(ValueError):
        expression.parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "level >= 3 and 'a' in question",
        "not level or question.lower().startswith('a')",
        "1 < level <= 3",
        "level in [1, 3] or len(question) % 2 == 0",
        "row['question'][0] == 'a' and (level + 1) * 2 > -level",
        "level is None or question[-1] != 'b'",
        "any([level == 1, level == 2])",
        "level and question",
    ],
)
def test_an_expression_is_what_python_says(text):
    for question in ("a b", "xb", "Ab"):
        for level in (0, 1, 2, 3):
            row = {"question": question, "level": level}
            assert expression.value(expression.parsed(text), row) == eval(text, {}, {**row, "row": row})


def test_the_columns_of_an_expression_are_found():
    tree = expression.parsed("len(a) > 1 and row['b c'] in d.lower()")
    assert sorted(expression.columns_of(tree)) == ["a", "b c", "d"]


@pytest.mark.parametrize(
    ("rule", "text", "answer"),
    [
        ("last_number", "1 and 2,000.5.", "2000.5"),
        ("last_number", "it is -3", "-3"),
        ("last_number", "none", None),
        ("after_hashes", "a #### b #### c d ", "c d"),
        ("after_hashes", "a", None),
        ("boxed", r"\boxed{1} or \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        ("boxed", r"\boxed{1", None),
        (r"Answer: (\w+)", "Answer: A, Answer: B", "B"),
        (r"\d+ apples", "7 apples", "7 apples"),
        (r"Answer: (\w+)", "none", None),
    ],
)
def test_an_answer_is_found_by_a_rule_or_an_expression(rule, text, answer):
    assert answers.rule(rule)(text) == answer
