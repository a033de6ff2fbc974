"""What a terminal would obey reaches it as text."""

import io
import json
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.base.printable import filtered, only_printable, printable, shortened

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\u2066\u200b\ud800\u2028\r\x00\U000e0041\u3164"


def unprintable(text: str) -> list[str]:
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return [character for character in text if unicodedata.category(character) in kinds and character not in "\n\t"]


def test_no_character_that_is_obeyed_or_hidden_is_left():
    said = printable(f"a{HOSTILE}b\n\tc")
    assert not unprintable(said) and said.startswith("a\\u001b]0;title\\u0007") and said.endswith("b\n\tc")


@pytest.mark.parametrize("text", ["", "plain", "Übergröße 3 × 4\u00a0km", "数学 \u3000 и", "▁▂▃█ …", "e\u0301"])
def test_what_can_be_read_stays(text):
    assert printable(text) == text


@given(st.text(st.characters(codec=None)))
def test_json_that_is_made_printable_says_the_same(text):
    said = printable(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(said) == json.loads(json.dumps({text: text})) and not unprintable(said)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_every_encoding_can_say_it_and_json_stays_json(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with only_printable():
        print(json.dumps([HOSTILE, "é▁\U0001f600"], ensure_ascii=False))
    assert sys.stdout is stream
    stream.flush()
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == json.loads(json.dumps([HOSTILE, "é▁\U0001f600"]))


def test_a_long_text_is_cut_with_a_note_of_its_length():
    assert shortened("abc", 3) == "abc"
    said = shortened("x" * 5000, 100)
    assert len(said) == 100 and said.endswith("x... (5,000 characters)")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_rich_draws_and_what_is_printed_meanwhile_is_text(monkeypatch):
    from rich.table import Table

    from expctl.report.screen import Screen, start_live

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", filtered(out))
    monkeypatch.setenv("TERM", "xterm")
    live = start_live()
    table = Table(title=HOSTILE)
    table.add_column(f"[red]{HOSTILE}")
    table.add_row(f"[link=https://example.org]{HOSTILE}:smile:")
    live.update(table, refresh=True)
    print(f"\x1b]8;;https://example.org\x1b\\{HOSTILE}")
    live.console.print(f"[bold]{HOSTILE}")
    live.stop()
    Screen().print(HOSTILE)
    said = out.getvalue()
    assert "\\u001b]0;title" in said and "[red]" in said and "[bold]" in said and ":smile:" in said
    assert not set(unprintable(said)) - {"\x1b", "\r"}
    assert not re.search(r"\x1b(?!\[[\d;?]*[mAKhl])", said), "only colours and movements of rich's own"
