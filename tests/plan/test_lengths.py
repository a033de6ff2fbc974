"""Tokens of the longest rows, counted by the model's tokenizer or assumed."""

import json

import pytest
from harness import REPOSITORY

from expctl.plan.lengths import TEMPLATE_TOKENS, lengths_of
from expctl.plan.model_config import family_name

TINY = REPOSITORY / "expctl" / "models" / "tiny" / "tokenizer.json"  # a token a character
FILES = "expctl.data.files.load"


@pytest.fixture
def rows(tmp_path):
    """A file of two rows, the longest texts in different ones."""
    path = tmp_path / "rows.jsonl"
    two = [{"prompt": "1" * 7, "completion": "2" * 40}, {"prompt": "3" * 90, "completion": "4"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in two))
    return {"_target_": FILES, "path": str(path)}


def test_a_tokenizer_counts_the_longest_texts(rows):
    lengths = lengths_of(rows, "prompt-completion", TINY)
    assert (lengths.prompt, lengths.answer, lengths.assumed) == (90, 40, ())
    assert lengths_of(rows, "prompt-only", TINY).answer == 0


def test_without_a_tokenizer_characters_are_counted_and_that_is_said(rows):
    lengths = lengths_of(rows, "prompt-completion", None)
    assert (lengths.prompt, lengths.answer) == (23, 10)
    assert "4 characters a token" in lengths.assumed[0]


def test_a_conversation_has_tokens_of_its_template(rows):
    lengths = lengths_of(rows | {"conversational": True}, "prompt-completion", TINY)
    assert lengths.prompt == 90 + TEMPLATE_TOKENS
    told = lengths_of(rows | {"conversational": True, "system_prompt": "brief"}, "prompt-completion", TINY)
    assert told.prompt == 90 + 5 + TEMPLATE_TOKENS
    assert "chat template" in lengths.assumed[0]


def test_images_are_said_not_to_be_counted(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    row = {"prompt": [{"role": "user", "content": "Which?"}], "image": "a.png"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assumed = lengths_of({"_target_": FILES, "path": str(tmp_path / "rows.jsonl")}, "prompt-only", TINY).assumed
    assert any("images take nothing" in each for each in assumed)


def test_rows_that_cannot_be_looked_at_are_assumed(rows):
    assert "cannot be looked at" in lengths_of(rows | {"path": "nowhere.jsonl"}, "prompt-only", None).assumed[0]
    assert lengths_of({"_target_": "mine.load"}, "preference", None).answer > 0


def test_a_mixture_is_as_long_as_the_longest_of_its_sources_and_says_which_it_has_not_seen(rows):
    short = {"_target_": "expctl.data.arithmetic.load"}
    mixture = {"_target_": "expctl.data.mixture.load", "sources": {"sums": short, "own": rows}}
    lengths = lengths_of(mixture, "prompt-completion", TINY)
    assert (lengths.prompt, lengths.answer, lengths.assumed) == (90, 40, ())
    mixture["sources"]["tasks"] = {"_target_": "expctl.data.reasoning_gym.load"}
    (assumed,) = lengths_of(mixture, "prompt-completion", TINY).assumed
    assert assumed == "no row of tasks is longer than those of the other sources"
    turns = {"conversational": True, "system_prompt": "brief"}
    mixture["sources"] = {"sums": short, "own": rows | turns}
    assert lengths_of(mixture, "prompt-completion", TINY).prompt == 90 + 5 + TEMPLATE_TOKENS


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Qwen/Qwen3-0.6B", "qwen3-0.6b"),
        ("Qwen/Qwen3-8B-Base", "qwen3-8b"),
        ("~/models/qwen3_0_6b", "qwen3-0.6b"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m"),
        ("meta-llama/Llama-3.2-1B-Instruct", "llama-3.2-1b"),
        ("Qwen/Qwen3-4B-Instruct-2507", "qwen3-4b"),
    ],
)
def test_a_family_is_known_by_its_name(path, name):
    assert family_name(path) == name
