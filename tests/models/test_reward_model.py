"""Reward models: their scores are those of a row by itself, and a model that gives no score is refused."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from expctl import models
from expctl.cli.main import run_words
from expctl.models.reward_model import load
from expctl.rewards.scores import ModelScore

FOLDER = Path(models.__file__).parent / "tiny_reward"
TEXTS = [("3+4=", "7 so 7"), ("12+30=", "so 42"), ("1+1=", ""), ("", "2"), ("9+9=", "a long way to the answer so 18")]
TURNS = [([{"role": "user", "content": prompt}], [{"role": "assistant", "content": said}]) for prompt, said in TEXTS]
ASKED = ["check", "reward=model"]


def alone(prompt: object, completion: object) -> float:
    """The score of one row, unpadded, by transformers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    if isinstance(prompt, list):
        text = tokenizer.apply_chat_template([*prompt, *completion], tokenize=False)
    else:
        text = prompt + completion
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        return float(model(**ids).logits[0, 0])


@pytest.mark.parametrize("rows", [TEXTS, TURNS], ids=["texts", "conversations"])
def test_a_score_in_a_batch_is_that_of_the_row_by_itself(rows):
    prompts, completions = (list(column) for column in zip(*rows, strict=True))
    expected = [alone(prompt, completion) for prompt, completion in rows]
    assert len({round(score, 6) for score in expected}) == len(rows)
    for batch_size in (1, 2, 64):
        score = ModelScore(load("embedded:tiny_reward", batch_size=batch_size))
        given = score(prompts=prompts, completions=completions, answer=["7"] * len(rows), trainer_state=None)
        assert given == pytest.approx(expected, abs=1e-5)


def test_a_text_that_is_too_long_for_the_model_has_no_score_and_the_others_have_theirs():
    model = load("embedded:tiny_reward")
    short, too_long = model.scores(["3+4=", "3+4="], ["7", "7 " * 2000])
    assert math.isfinite(short) and math.isnan(too_long)


def test_without_weights_all_but_the_score_is_the_same():
    assert load("embedded:tiny_reward", has_weights=False).scores(["3+4="], ["7"]) == [0.0]


def test_conversations_need_a_chat_template(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match=r"reward_model\.path=.*no chat template"):
        load(str(tmp_path / "plain")).scores(*([column] for column in TURNS[0]))


def two_labels(folder):
    config = json.loads((folder / "config.json").read_text())
    labels = {"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}}
    (folder / "config.json").write_text(json.dumps(config | labels))


def test_what_gives_no_single_score_is_refused_before_it_is_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "two")
    two_labels(tmp_path / "two")
    said = {
        "reward_model.path=two": "has 2 labels, and a reward is one number",
        "reward_model.path=embedded:tiny": "Qwen3ForCausalLM, which has no head that gives a score",
        "reward_model.path=nothing/here": "reward_model.path=nothing/here",
        "reward_model.device=cuda:97": "no device 'cuda:97'",
        "reward_model.dtype=bf16": "the dtype 'bf16' is unknown",
        "reward_model.batch_size=0": "'reward_model.batch_size' is 0",
    }
    for word, what in said.items():
        words = [word] if "path" in word else ["reward_model=tiny", word]
        assert run_words([*ASKED, *words]) == 2
        shown = capsys.readouterr().err
        assert what in shown and f"set by   {word} (command line)" in shown, word
    with pytest.raises(ValueError, match="2 labels"):
        load("two")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_a_reward_model_that_nothing_asks_or_that_is_not_named_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (["reward_model=tiny"], "no reward asks a reward model"),
        (["reward_model.path=x"], "no reward asks one"),
        (["reward=model"], "'reward_model.path' has no value yet"),
    ):
        assert run_words(["check", *words]) == 2
        assert said in capsys.readouterr().err
    assert run_words([*ASKED, "reward_model=tiny"]) == 0


def test_the_content_of_the_folder_is_part_of_the_run_id(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "scorer")
    words = [*ASKED, "reward_model.path=scorer"]
    assert run_words(words) == 0
    before = capsys.readouterr().out
    (tmp_path / "scorer" / "config.json").write_text((FOLDER / "config.json").read_text() + "\n")
    assert run_words(words) == 0
    assert capsys.readouterr().out != before
