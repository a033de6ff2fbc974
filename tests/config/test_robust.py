"""Odd values meet a refusal, never an exception: of any type, any length, in any place."""

import errno

import pytest

from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose
from expctl.config import check as checks
from expctl.config.check import CHECKS, Check, check
from expctl.config.hydra_errors import as_refusal

ODD = {
    "a list for a number": ["hardware.hang_minutes=[1,2]"],
    "a number for a dotted path": ["algorithm.trainer._target_=1e2"],
    "a number for a trainer": ["algorithm=grpo_replay", "algorithm.trainer._target_=0.5"],
    "a very long dotted path": ["algorithm.trainer._target_=" + "x" * 3000 + ".y"],
    "a very long name of a module": ["reward.functions.accuracy._target_=trl." + "x" * 3000],
    "a loader without its kind": ["~dataset.kind"],
    "a loader without its seed": ["~dataset.seed"],
    "a loader of generated tasks without its kind": ["dataset=reasoning_gym", "~dataset.kind"],
}


def refusals(words):
    return check(compose(words))


@pytest.mark.parametrize("words", ODD.values(), ids=ODD)
def test_an_odd_value_is_refused_by_its_key(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = refusals(words)
    key = words[-1].lstrip("~").partition("=")[0]
    assert found and any(key in f"{refusal.where} {refusal.what}" for refusal in found)
    assert not any("cannot be checked" in refusal.what for refusal in found)


def test_a_check_that_fails_itself_is_a_refusal_that_says_so(monkeypatch):
    def broken(experiment):
        raise KeyError("nothing")

    monkeypatch.setattr(checks, "CHECKS", (*CHECKS[:2], Check("broken", broken), *CHECKS[2:]))
    (refusal,) = refusals([])
    assert "cannot be checked: KeyError: 'nothing'" in refusal.what and "the check of broken" in refusal.what
    assert "EXPCTL_DEBUG=1" in refusal.do


def test_a_name_too_long_for_the_file_system_is_a_refusal():
    refusal = as_refusal(OSError(errno.ENAMETOOLONG, "File name too long"), ["seed=1", "+" + "a" * 300 + "=1"])
    assert "too long" in refusal.what and len(str(refusal)) < 300


RENAMED = [("warmup_ratio", "warmup_steps"), ("evaluation_strategy", "eval_strategy")]


@pytest.mark.parametrize(("field", "right"), RENAMED)
def test_a_field_of_earlier_versions_is_told_its_name_of_today(field, right):
    (refusal,) = refusals([f"args.{field}=0.1"])
    assert refusal.nearest == [right] and right in refusal.do


PATHS = {
    "model=Qwen/Qwen3-0.6B": "model=qwen3_0_6b",
    "model=meta/llama": "model=local model.path=meta/llama",
    "model=./folder": "model=local model.path=./folder",
    "dataset=openai/gsm8k": "dataset=gsm8k",
    "dataset=rows/mine.jsonl": "dataset=files dataset.path=rows/mine.jsonl",
    "dataset=somebody/some_set": "dataset=hub dataset.path=somebody/some_set",
}


@pytest.mark.parametrize(("word", "advice"), PATHS.items())
def test_a_path_where_an_option_belongs_is_told_where_it_goes(word, advice, tmp_path, monkeypatch):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "mine.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal) as refused:
        refusals([word])
    assert advice in refused.value.do and refused.value.where == f"{word} (command line)"


@pytest.mark.parametrize(
    "word", ["reward.functions.accuracy=null", "reward.functions.mine=5", "+callbacks.mine={x: 1}"]
)
def test_what_nothing_can_be_built_from_is_refused(word):
    (refusal,) = check(compose([word]))
    key = word.lstrip("+").partition("=")[0]
    assert f"'{key}' is " in refusal.what and f"~{key}" in refusal.do and "(command line)" in refusal.where
