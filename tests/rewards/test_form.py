"""Rewards of form: what has it earns 1, what only resembles it earns nothing."""

import pytest

from expctl.rewards.form import JsonSchema, matches, script, tags

GOOD = "<think>a</think>\n<answer>b</answer>"


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (GOOD, 1.0),
        (f"\n {GOOD} \n", 1.0),
        ([{"role": "assistant", "content": GOOD}], 1.0),
        (f"{GOOD} and more", 0.0),
        (f"so {GOOD}", 0.0),
        ("<answer>b</answer><think>a</think>", 0.0),
        ("<think>a</think><think>a</think><answer>b</answer>", 0.0),
        ("<think>a<answer>b</answer></think><answer>b</answer>", 0.0),
        ("<think>a</think><answer> </answer>", 0.0),
        ("<think>a<answer>b</answer>", 0.0),
        ("<think>a</think><answer>b", 0.0),
        ("<THINK>a</THINK><answer>b</answer>", 0.0),
        ("", 0.0),
    ],
)
def test_tags_stand_once_in_their_order_and_around_everything(completion, reward):
    assert tags([completion]) == [reward]


def test_a_prompt_may_have_opened_the_first_tag_and_what_is_cut_off_has_no_form():
    rest = "a</think><answer>b</answer>"
    assert tags([rest, rest], prompts=["q <think>\n", "q"]) == [1.0, 0.0]
    assert tags([GOOD, GOOD], truncated=[False, True]) == [1.0, 0.0]
    assert tags(["<plan>a</plan><do>b</do>", GOOD], names=["plan", "do"]) == [1.0, 0.0]


def test_a_regular_expression_is_looked_for_behind_the_reasoning():
    texts = ["Answer: 5", "<think>Answer: 5</think>no", "<think>Answer: 5", "a\nAnswer: 5", "Answer: five"]
    assert matches(texts, regex=r"Answer: \d") == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert matches(texts, regex=r"^Answer: \d$") == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert matches(texts[:1], regex="A", truncated=[True]) == [0.0]


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ('{"n": 1}', 1.0),
        ('<think>{"n": "a"}</think>\n{"n": 1}\n', 1.0),
        ('```json\n{"n": 1}\n```', 1.0),
        ('{"n": "1"}', 0.0),
        ('{"n": 1, "m": 2}', 0.0),
        ("{}", 0.0),
        ('{"n": 1} so', 0.0),
        ('{"n": NaN}', 0.0),
        ('<think>{"n": 1}', 0.0),
        ("[" * 100_000, 0.0),
        ("", 0.0),
    ],
)
def test_json_is_what_its_schema_allows(text, reward):
    assert JsonSchema(SCHEMA)([text]) == [reward]


def test_json_says_what_is_wrong_and_a_schema_that_is_none_is_refused():
    faults = {}
    JsonSchema(SCHEMA)(['{"n": "a"}', "no", '{"n": 1}'], truncated=[False, False, True], explain=faults.__setitem__)
    [schema, no_json, cut] = faults["fault"]
    assert schema == "$.n: 'a' is not of type 'integer'" and no_json.startswith("no JSON") and cut == "unfinished"
    with pytest.raises(Exception, match="not valid under any of the given schemas"):
        JsonSchema({"type": "objekt"})


@pytest.mark.parametrize(
    ("text", "names", "share"),
    [
        ("Hello", ["LATIN"], 1.0),
        ("Привет hello", ["CYRILLIC"], 6 / 11),
        ("所以答案是 $x+y$ \\frac `code` https://example.org/a 12", ["CJK"], 1.0),
        ("これは", ["HIRAGANA", "KATAKANA", "CJK"], 1.0),
        ("grün", ["latin"], 1.0),
        ("12 + 3", ["LATIN"], 0.0),
    ],
)
def test_the_share_of_letters_of_a_script(text, names, share):
    assert script([text], names=names) == [pytest.approx(share)]
