import math

import pytest

from expctl.base.refusal import Refusal
from expctl.runs.filters import parse

FACTS = {
    "run": "gfpo-tiny-arithmetic-s1-90dc4afd", "status": "completed", "host": "node3", "algorithm": "gfpo", "seed": 1,
    "args.learning_rate": 1e-05, "args.bf16": True, "args.report_to": "none", "args.betas": [0.9, 0.99],
    "eval_reward": 0.916, "rewards/accuracy/mean": 0.9, "loss": math.nan, "error": None,
    "started": "2026-11-23T11:15:34+00:00", "model.path": "models/1e3",
}  # fmt: skip


@pytest.mark.parametrize(
    "word",
    [
        "algorithm=gfpo", "seed=1", "seed=1.0", "seed=0,1", "seed!=0,2", "args.learning_rate=0.00001",
        "args.learning_rate=1e-5", "args.learning_rate<2e-5", "eval_reward>0.9", "eval_reward>=0.916", "seed<=1",
        "args.bf16=true", "args.bf16!=false", "rewards/accuracy/mean=.9", "host~node[0-3]", "host!~^other",
        "run=gfpo-*", "host=node?", "error=null", "status!=failed", "started>2026-11-01", "started<2027",
        "args.betas=[0.9,0.99]", "args.report_to=none", "loss=nan", "+seed=1", "seed = 1", "missing!=3", "missing=null",
        "model.path~1e3", "host='node3'",
    ],
)  # fmt: skip
def test_these_words_are_true_of_the_run(word):
    assert parse([word])(FACTS)


@pytest.mark.parametrize(
    "word",
    [
        "algorithm=grpo", "seed=2", "seed=true", "args.bf16=1", "eval_reward>1", "eval_reward<0.9", "host~^ode",
        "host=NODE3", "run=gfpo", "missing=3", "missing>3", "missing~.", "error~.", "loss>0", "loss<=0", "loss=0",
        "status!=completed", "args.report_to=null", "eval_reward=null", "started>2027", "seed=10", "args.betas=0.9",
    ],
)  # fmt: skip
def test_these_words_are_not(word):
    assert not parse([word])(FACTS)


def test_every_word_must_hold_and_no_word_is_true_of_all():
    assert parse(["seed=1", "status=completed"])(FACTS)
    assert not parse(["seed=1", "status=failed"])(FACTS)
    assert parse([])(FACTS) and parse([])({})


def test_an_unknown_key_is_refused_with_the_key_that_ends_so():
    with pytest.raises(Refusal) as refused:
        parse(["learning_rate=1e-5"], FACTS)
    assert refused.value.nearest == ["args.learning_rate"]
    assert "learning_rate=1e-5" in refused.value.where


def test_a_misspelt_key_is_refused_with_the_nearest():
    with pytest.raises(Refusal) as refused:
        parse(["eval_rewrad>0.9"], FACTS)
    assert refused.value.nearest[0] == "eval_reward"


def test_a_word_without_a_sign_is_refused_with_the_quotes_that_the_shell_needs():
    with pytest.raises(Refusal, match="no filter") as refused:
        parse(["eval_reward"], FACTS)
    assert "quotes" in refused.value.do


def test_a_number_is_not_compared_with_a_text():
    with pytest.raises(Refusal, match="compares a number with a text"):
        parse(["eval_reward>high"], FACTS)(FACTS)


def test_a_broken_regular_expression_is_refused_when_it_is_read():
    with pytest.raises(Refusal, match="no regular expression"):
        parse(["host~["])


def test_a_kind_of_data_is_known_by_its_old_spelling_too(capsys):
    run = {"algorithm.kind": "prompt-only", "dataset.kind": "preference"}
    for word in ("algorithm.kind=prompts", "dataset.kind=completions,preferences", "algorithm.kind!=preferences"):
        assert parse([word])(run), word
    assert not parse(["algorithm.kind!=prompts"])(run)
    assert "algorithm.kind: 'prompts' is called 'prompt-only' now" in capsys.readouterr().err
    assert parse(["model=prompts"])({"model": "prompts"}), "elsewhere the word is nothing old"
