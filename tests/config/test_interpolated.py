"""A value that is made of another key is laid to the word that set that key; a word that nothing is made of is idle."""

import pytest

from expctl.cli.hydra_app import compose
from expctl.config.check import check


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (["algorithm.learning_rate.full=-1"], "algorithm.learning_rate.full=-1"),
        (["peft=lora", "algorithm.learning_rate.adapter=-1"], "algorithm.learning_rate.adapter=-1"),
        (["algorithm.learning_rate={full: -1}"], "algorithm.learning_rate={full: -1}"),
        (["dataset.max_completion_length=-4"], "dataset.max_completion_length=-4"),
        (["algorithm.recipe.max_steps=0"], "algorithm.recipe.max_steps=0"),
        (["algorithm.toy.prompt-only.max_steps=0"], "algorithm.toy.prompt-only.max_steps=0"),
        (["algorithm.recipe.warmup_steps=-1", "algorithm.recipe.max_steps=9"], "algorithm.recipe.warmup_steps=-1"),
    ],
)
def test_a_refusal_names_the_word_behind_the_value(words, word):
    (refusal,) = check(compose(words))
    assert f"({word} (command line))" in refusal.where, refusal


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dataset.reward.accuracy._target_=expctl.rewards.math_answer.accuracy"],
        ["reward=accuracy_and_format", "dataset.reward.accuracy._target_=expctl.rewards.math_answer.accuracy"],
        ["reward=accuracy_short", "dataset.max_completion_length=32"],
        ["algorithm=sft", "callbacks=completions", "dataset.max_completion_length=20"],
        ["algorithm=dpo", "callbacks=completions", "dataset.reward.accuracy._target_=my.reward"],
        ["algorithm.recipe={max_steps: 3}", "algorithm.learning_rate={full: 1e-3}"],
        ["algorithm.toy.prompt-only.max_steps=7", "algorithm.toy.prompt-only.learning_rate=1e-3"],
        ["algorithm=gkd", "teacher=tiny", "teacher.path=embedded:tiny_teacher"],
        ["dataset=mixture", "dataset.sources={a: {path: a.jsonl}}", "algorithm.max_completion_length=300"],
        ["dataset=reasoning_gym", "algorithm.recipe.eval_steps=5"],
    ],
)
def test_what_a_value_is_made_of_is_not_idle(words):
    assert compose(words).idle == []
