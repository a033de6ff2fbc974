"""Conversations become plain text for a model without a chat template, and only then."""

from types import SimpleNamespace

import pytest
from datasets import Dataset

from expctl.data.conversation import fit_to_tokenizer

BASE_MODEL = SimpleNamespace(chat_template=None)
INSTRUCT_MODEL = SimpleNamespace(chat_template="{{ messages }}")

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+3?"}]
ANSWER = [{"role": "assistant", "content": "5"}]


def test_a_prompt_becomes_a_transcript_that_the_assistant_continues():
    rows = Dataset.from_list([{"prompt": QUESTION, "answer": "5"}])
    assert fit_to_tokenizer(rows, BASE_MODEL)[0] == {
        "prompt": "System: Be brief.\nUser: 2+3?\nAssistant:",
        "answer": "5",
    }


@pytest.mark.parametrize("columns", [("completion",), ("chosen", "rejected")])
def test_completions_become_what_the_assistant_says(columns):
    rows = Dataset.from_list([{"prompt": QUESTION, **dict.fromkeys(columns, ANSWER)}])
    flat = fit_to_tokenizer(rows, BASE_MODEL)
    assert flat.column_names == rows.column_names
    assert all(flat[0][name] == " 5" for name in columns)


def test_a_model_with_a_chat_template_gets_the_dataset_as_it_is():
    rows = Dataset.from_list([{"prompt": QUESTION}])
    assert fit_to_tokenizer(rows, INSTRUCT_MODEL) is rows


@pytest.mark.parametrize("tokenizer", [BASE_MODEL, INSTRUCT_MODEL])
def test_plain_texts_stay_plain(tokenizer):
    rows = Dataset.from_list([{"prompt": "2+3=", "completion": "5"}])
    assert fit_to_tokenizer(rows, tokenizer) is rows


def test_an_empty_dataset_passes():
    rows = Dataset.from_dict({"prompt": []})
    assert fit_to_tokenizer(rows, BASE_MODEL) is rows


@pytest.mark.parametrize("template", [None, "{% for m in messages %}{{ m['content'] }}{% endfor %}"])
def test_a_stream_becomes_what_its_rows_would_as_a_table(template):
    tokenizer = SimpleNamespace(chat_template=template)
    rows = [
        {
            "prompt": [{"role": "user", "content": [{"type": "text", "text": f"{n}+1?"}]}],
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": str(n + 1)}]}],
            "answer": n,
        }
        for n in range(3)
    ]
    table = Dataset.from_list(rows)
    streamed = fit_to_tokenizer(table.to_iterable_dataset(), tokenizer)
    assert list(streamed) == fit_to_tokenizer(table, tokenizer).to_list()
    assert list(fit_to_tokenizer({"a": table.to_iterable_dataset()}, tokenizer)["a"]) == list(streamed)
