"""Files of every oddity and kind: the rows that the trainer sees, or the refusal, alike in parent and worker."""

import bz2
import gzip
import json
import lzma

import pyarrow
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from expctl.data import check, files
from expctl.data.conversation import fit_to_tokenizer

TEMPLATE = (
    "{% for turn in messages %}{% if turn.role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}<{{ turn.role }}>{{ turn.content }}{% endfor %}"
)


def byte_level(template: str | None) -> PreTrainedTokenizerFast:
    """A tokenizer of 256 bytes and an end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")
    fast.chat_template = template
    return fast


BASE, CHAT = byte_level(None), byte_level(TEMPLATE)


def turn(role: str, content, **keys) -> dict:
    return {"role": role, "content": content, **keys}


def user(content) -> dict:
    return turn("user", content)


def says(content) -> dict:
    return turn("assistant", content)


def shared(name: str, value: str) -> dict:
    return {"from": name, "value": value}


def jsonl(*rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def outcome(tmp_path):
    """The rows of a file as trainers with `tokenizer` get them, in their order; or the words of the refusal."""

    def look(content: bytes, name: str, kind: str, tokenizer=BASE, **options):
        held_out_row = {"prompt": "-", "completion": "-", "chosen": "-", "rejected": "+"}
        (tmp_path / "held_out.jsonl").write_bytes(jsonl(held_out_row))
        given = {"kind": kind, "seed": 0, "path": str(tmp_path / name), **options}
        (tmp_path / name).write_bytes(content)
        held_out = None if options.get("columns") else str(tmp_path / "held_out.jsonl")
        try:
            train, evaluation = files.load(**given, eval_path=held_out or str(tmp_path / name))
            worker = list(fit_to_tokenizer(train, tokenizer))
        except (ValueError, FileNotFoundError) as error:
            worker = str(error)
        try:
            check.check_dataset({"_target_": "expctl.data.files.load", **given, "eval_path": held_out})
            parent = None
        except (ValueError, FileNotFoundError) as error:
            parent = str(error)
        return worker, parent

    return look


Q, A = "1+1?", "2"
TRANSCRIPT = {"prompt": "User: 1+1?\nAssistant:", "completion": " 2"}
PAIR = {"prompt": "User: 1+1?\nAssistant:", "chosen": " 2", "rejected": " 3"}
PARTS = [{"type": "text", "text": "1+"}, {"type": "text", "text": "1?"}]

ROWS = {
    "text in parts": ("prompt-only", {"prompt": [user(PARTS)]}, {"prompt": TRANSCRIPT["prompt"]}),
    "keys of ShareGPT": ("prompt-only", {"prompt": [shared("human", Q)]}, {"prompt": TRANSCRIPT["prompt"]}),
    "conversations of ShareGPT": (
        "prompt-completion",
        {"conversations": [shared("human", Q), shared("gpt", A)]},
        TRANSCRIPT,
    ),
    "messages of prompts": (
        "prompt-only",
        {"messages": [user(Q), says(A)], "answer": A},
        {"prompt": TRANSCRIPT["prompt"], "answer": A},
    ),
    "messages of completions": ("prompt-completion", {"messages": [user(Q), says(A)]}, TRANSCRIPT),
    "a prompt that ends in the completion": ("prompt-completion", {"prompt": [user(Q), says(A)]}, TRANSCRIPT),
    "messages without an answer": ("prompt-only", {"messages": [user(Q)]}, {"prompt": TRANSCRIPT["prompt"]}),
    "a plain prompt and turns": ("prompt-completion", {"prompt": Q, "completion": [says(A)]}, TRANSCRIPT),
    "turns and a plain completion": ("prompt-completion", {"prompt": [user(Q)], "completion": A}, TRANSCRIPT),
    "a completion with the prompt's turns": (
        "prompt-completion",
        {"prompt": [user(Q)], "completion": [user(Q), says(A)]},
        TRANSCRIPT,
    ),
    "a text that TRL would train on": (
        "prompt-completion",
        {"prompt": Q, "completion": A, "text": "x"},
        {"prompt": Q, "completion": A},
    ),
    "UltraFeedback": (
        "preference",
        {"prompt": Q, "chosen": [user(Q), says(A)], "rejected": [user(Q), says("3")], "messages": [user(Q), says(A)]},
        PAIR,
    ),
    "preferences that repeat turns": (
        "preference",
        {"prompt": [user(Q)], "chosen": [user(Q), says(A)], "rejected": [user(Q), says("3")]},
        PAIR,
    ),
    "preferences that repeat a text": (
        "preference",
        {"prompt": Q, "chosen": f"{Q} 2", "rejected": f"{Q} 3"},
        {"prompt": Q, "chosen": " 2", "rejected": " 3"},
    ),
    "an implicit prompt of turns": (
        "preference",
        {"chosen": [user(Q), says(A)], "rejected": [user(Q), says("3")]},
        PAIR,
    ),
    "an implicit prompt of text": (
        "preference",
        {"chosen": f"{Q} yes", "rejected": f"{Q} no"},
        {"prompt": Q, "chosen": " yes", "rejected": " no"},
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_in_a_form_of_public_data_is_what_trl_calls_an_explicit_prompt(outcome, case):
    kind, row, seen = ROWS[case]
    worker, parent = outcome(jsonl(row, row), "rows.jsonl", kind)
    assert parent is None
    assert worker == [seen, seen]


def test_the_prompts_of_preferences_are_those_that_preferences_are_trained_on(outcome):
    for row in (ROWS["UltraFeedback"][1], ROWS["an implicit prompt of turns"][1]):
        trained, sampled = (outcome(jsonl(row), "rows.jsonl", kind)[0] for kind in ("preference", "prompt-only"))
        assert trained[0]["prompt"] == sampled[0]["prompt"] == TRANSCRIPT["prompt"]


def test_conversations_stay_conversations_for_a_model_with_a_template(outcome):
    for row in ({"prompt": [user(PARTS)]}, {"prompt": [shared("human", Q)]}, {"messages": [user(Q), says(A)]}):
        assert outcome(jsonl(row), "rows.jsonl", "prompt-only", CHAT)[0] == [{"prompt": [user(Q)]}]


@pytest.mark.parametrize("kind", ["prompt-only", "prompt-completion"])
def test_a_column_of_messages_that_is_named_leads_to_the_end(outcome, kind):
    rows = jsonl({"dialogue": [user(Q), says(A)], "n": 1}, {"dialogue": [user("2?"), says(A)], "n": 2})
    worker, parent = outcome(rows, "rows.jsonl", kind, columns={"prompt": "dialogue"})
    assert parent is None
    assert not isinstance(worker, str)


CSV = "prompt,answer\n"
TEXTS = {
    "texts that others take for numbers or nothing": (
        "rows.csv",
        CSV + "null,007\nNA,1e5\nnan,True\n",
        [("null", "007"), ("NA", "1e5"), ("nan", "True")],
    ),
    "byte order mark, CRLF, quotes and line ends in a cell": (
        "rows.csv",
        '\ufeffprompt,answer\r\n"a\r\n""b"", c",1\r\n',
        [('a\r\n"b", c', "1")],
    ),
    "commas at the end, blank lines": ("rows.csv", "prompt,answer,\n\na,1,\n  \nb,2,\n", [("a", "1"), ("b", "2")]),
    "tabs": ("rows.TSV", "prompt\tanswer\na, b\t1\n", [("a, b", "1")]),
    "a zero byte": ("rows.csv", CSV + "a\0b,1\n", [("a\0b", "1")]),
    "a huge cell": ("rows.csv", CSV + "x" * 200_000 + ",1\n", [("x" * 200_000, "1")]),
    "dates": (
        "rows.jsonl",
        '{"prompt": "2024-01-01", "answer": "2024-01-01 00:00:00"}\n',
        [("2024-01-01", "2024-01-01 00:00:00")],
    ),
    "mixed types": (
        "rows.jsonl",
        '{"prompt": "a", "answer": 1}\n\n{"prompt": "b", "answer": "1.0"}\n{"prompt": "c", "answer": null}\n',
        [("a", 1), ("b", "1.0"), ("c", None)],
    ),
    "a list": (
        "rows.json",
        ' [{"prompt": "a", "answer": "1"},\n{"prompt": "b", "answer": "2"}]',
        [("a", "1"), ("b", "2")],
    ),
    "a key that comes late": (
        "rows.ndjson",
        '{"prompt": "a"}\n{"prompt": "b", "answer": "2"}\n',
        [("a", None), ("b", "2")],
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_stays_text(outcome, case):
    name, content, cells = TEXTS[case]
    worker, parent = outcome(content.encode(), name, "prompt-only")
    assert parent is None
    assert [(row["prompt"], row["answer"]) for row in worker] == cells


def zstandard(content: bytes) -> bytes:
    return pyarrow.Codec("zstd").compress(content, asbytes=True)


@pytest.mark.parametrize(
    ("ending", "pack"), [(".GZ", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard)]
)
@pytest.mark.parametrize("name", ["Rows.JSONL", "rows.json"])
def test_endings_in_capitals_and_compressed_files_are_read(outcome, ending, pack, name):
    worker, parent = outcome(pack(jsonl({"prompt": "a"}, {"prompt": "b"})), name + ending, "prompt-only")
    assert parent is None
    assert worker == [{"prompt": "a"}, {"prompt": "b"}]


GOOD = jsonl({"prompt": "a"})
REFUSED = {
    "an image": (
        "prompt-only",
        "r.jsonl",
        jsonl({"prompt": [user([{"type": "image", "url": "x"}])]}),
        "row 1: .*'image'",
    ),
    "a role": ("prompt-only", "r.jsonl", jsonl({"prompt": [turn("User", "x")]}), "'User'.*nearest: 'user'"),
    "a number": ("prompt-only", "r.jsonl", GOOD + jsonl({"prompt": 5}), r"row 2: column 'prompt' holds int, 5"),
    "a dict": ("prompt-only", "r.jsonl", jsonl({"prompt": user("x")}), "row 1: column 'prompt' holds dict"),
    "two forms": ("prompt-only", "r.jsonl", GOOD + jsonl({"prompt": [user("x")]}), "row 2: .*is a conversation, and"),
    "a spelt conversation": (
        "prompt-only",
        "r.csv",
        b"prompt\n\"[{'role': 'user', 'content': ''}]\"\n",
        "row 1: .*spells",
    ),
    "half a pair": ("prompt-only", "r.jsonl", b'{"prompt": "\\ud800"}\n', "row 1: .*surrogate"),
    "empty prompts": (
        "prompt-only",
        "r.jsonl",
        GOOD + jsonl({"prompt": " \n"}, {"prompt": None}, {}),
        "'prompt' is empty in 3 of 4 rows, first in row 2",
    ),
    "an empty completion": (
        "prompt-completion",
        "r.jsonl",
        jsonl({"prompt": "a", "completion": ""}),
        "'completion' is empty in row 1 of 1",
    ),
    "nothing but the prompt": (
        "preference",
        "r.jsonl",
        jsonl({"prompt": [user("x")], "chosen": [user("x")], "rejected": [user("x"), says("y")]}),
        "'chosen' is empty",
    ),
    "other turns": (
        "preference",
        "r.jsonl",
        jsonl({"prompt": [user("x")], "chosen": [user("y"), says("z")], "rejected": [says("z")]}),
        "'chosen' begins.*'user'",
    ),
    "no shared beginning": ("preference", "r.jsonl", jsonl({"chosen": "a", "rejected": "b"}), "row 1: .*no prompt"),
    "no answer in it": ("prompt-completion", "r.jsonl", jsonl({"messages": [user("x")]}), "row 1: .*assistant"),
    "ragged": ("prompt-only", "r.csv", b"prompt,answer\na,1\nb,2,3\n", r"row 2 \(line 3\) has 3 cells"),
    "short": ("prompt-only", "r.csv", b"prompt,answer\na\n", r"row 1 \(line 2\) has 1 cell"),
    "two of a name": ("prompt-only", "r.csv", b"prompt,prompt\na,b\n", "two columns 'prompt'"),
    "semicolons": ("prompt-only", "r.csv", b"prompt;answer\na;1\n", "comma"),
    "an open quote": ("prompt-only", "r.csv", b'prompt,answer\na,1\n"b,2\nc,3\n', "begins in line 3"),
    "Latin-1": ("prompt-only", "r.csv", "prompt\na\ncafé\n".encode("latin-1"), "line 3 is no UTF-8.*Latin-1"),
    "UTF-16": ("prompt-only", "r.csv", "prompt\na\n".encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ("prompt-only", "r.jsonl", GOOD.decode().encode("utf-16-be"), "UTF-16BE"),
    "cut off": ("prompt-only", "r.jsonl.gz", gzip.compress(GOOD * 9)[:30], "not a valid jsonl file"),
    "not packed": ("prompt-only", "r.jsonl.gz", GOOD, "not a valid jsonl file.*gzip"),
    "packed Parquet": ("prompt-only", "r.parquet.gz", b"x", "unpack it"),
    "a key twice": ("prompt-only", "r.jsonl", b'{"prompt": "a", "prompt": "b"}\n', "line 1: .*'prompt' twice"),
    "a list in a line": (
        "prompt-only",
        "r.jsonl",
        b'[{"prompt": "a"}]\n',
        "valid jsonl file: its rows must be objects",
    ),
    "an object over lines": ("prompt-only", "r.json", b'{\n"prompt": "a"\n}\n', "line 1 is no JSON"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_row_is_refused_with_its_place_before_anything_starts(outcome, case):
    kind, name, content, words = REFUSED[case]
    worker, parent = outcome(content, name, kind)
    assert parent is not None, worker
    for message in (worker, parent):
        with pytest.raises(ValueError, match=words):
            raise ValueError(message)
        assert message.startswith("dataset.path=")
        assert message.count("\n") < 5


def test_what_lies_beyond_the_beginning_is_refused_by_the_worker_with_its_row(outcome):
    worker, parent = outcome(GOOD * 500 + jsonl({"prompt": 5}), "r.jsonl", "prompt-only")
    assert parent is None
    assert "row 501: column 'prompt' holds int, 5" in worker


def test_a_prompt_that_most_completions_repeat_is_refused_and_chance_is_left_alone(outcome):
    rows = [{"prompt": "I", "completion": f"{word} think"} for word in ("I", "I", "I", "We")]
    assert (
        "in 3 of 4 rows the completions begin with the prompt, in row 4"
        in outcome(jsonl(*rows), "r.jsonl", "prompt-completion")[0]
    )
    rows = rows[2:]
    assert outcome(jsonl(*rows), "r.jsonl", "prompt-completion")[0] == rows


def test_a_template_that_refuses_a_role_is_said_with_row_and_roles(outcome):
    rows = jsonl({"prompt": [user("x")]}, {"prompt": [turn("system", "be brief"), user("x")]})
    worker, parent = outcome(rows, "r.jsonl", "prompt-only", CHAT)
    assert parent is None
    assert "row 2: the model's chat template refuses a conversation of system, user: System role not sup" in worker
    assert isinstance(outcome(rows, "r.jsonl", "prompt-only", BASE)[0], list)


def test_a_changed_file_is_read_anew(outcome):
    for text in ("a", "b"):
        assert outcome(jsonl({"prompt": text}), "r.jsonl", "prompt-only")[0] == [{"prompt": text}]
