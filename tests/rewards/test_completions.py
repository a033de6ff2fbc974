"""Only what follows a reasoning that ends is an answer; what was cut off is none."""

import json

import pytest

from expctl.rewards import arithmetic, math_answer, reasoning_gym
from expctl.rewards.answer_format import one_answer
from expctl.rewards.completions import after_reasoning, final_texts, text_of
from expctl.rewards.length import within_limit

RIGHT = ["#### 18", r"\boxed{18}", "The answer is 18"]


OPENINGS = ["<think>", "<THINK>", "<thinking>", "<reasoning>", "[THINK]", "◁think▷", '<think a="b">']


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("text", RIGHT)
def test_a_reasoning_that_does_not_end_earns_nothing(opening, text):
    assert math_answer.accuracy([f"{opening}so {text}"], answer=["18"]) == [0.0]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a", "a"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a</think><think>b</think>c", "c"),
        ("a<think>b</think>", ""),
        ("<think>a</think>b<think>c", None),
        ("<think>a<think>b</think>c", "c"),
        ("[THINK]a[/THINK]b", "b"),
        ("[think about it] b", "[think about it] b"),
        ("I think so", "I think so"),
    ],
)
def test_what_follows_the_last_reasoning_counts(text, rest):
    assert after_reasoning(text) == rest


@pytest.mark.parametrize("prompt", ["1+1?<think>\n", [{"role": "assistant", "content": "<think>"}]])
def test_a_prompt_that_begins_the_reasoning_has_begun_it(prompt):
    texts = final_texts(["so 18", "so</think>18"], prompts=[prompt] * 2)
    assert texts == [None, "18"]
    assert final_texts(["18"], prompts=["Use <think> and </think>."]) == ["18"]
    assert final_texts(["18"], prompts=[[{"role": "user", "content": "Use <think>"}]]) == ["18"]


def test_a_completion_that_was_cut_off_earns_nothing_from_any_reward_of_correctness():
    entry = json.dumps({"answer": "5", "metadata": {}})
    cut = {"truncated": [True, False]}
    assert math_answer.accuracy(["#### 5"] * 2, answer=["5"] * 2, **cut) == [0.0, 1.0]
    assert arithmetic.accuracy([" so 5"] * 2, answer=["5"] * 2, **cut) == [0.0, 1.0]
    assert one_answer(["<answer>5</answer>"] * 2, **cut) == [0.0, 1.0]
    gym = {"task": ["gcd"] * 2, "entry": [entry] * 2}
    assert reasoning_gym.accuracy(["<answer>5</answer>"] * 2, **gym, **cut) == [0.0, 1.0]
    ids = {"completion_ids": [[1], [1]]}
    within = within_limit(["#### 5"] * 2, reward=math_answer.accuracy, limit=4, answer=["5"] * 2, **ids, **cut)
    assert within == [0.0, 1.0]


def test_answers_and_forms_within_the_reasoning_do_not_count():
    entry = json.dumps({"answer": "5", "metadata": {}})
    hidden = "<think><answer>5</answer></think>"
    assert one_answer([hidden, hidden + "<answer>5</answer>"]) == [0.0, 1.0]
    assert reasoning_gym.accuracy([hidden], task=["gcd"], entry=[entry]) == [0.0]


def test_the_text_of_a_message_in_parts_is_read():
    parts = [{"type": "text", "text": "#### "}, {"type": "text", "text": "18"}]
    assert text_of([{"role": "assistant", "content": parts}]) == "#### 18"
