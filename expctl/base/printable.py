"""Text that comes from a model, data, a run or an exception, made safe to print.

A terminal obeys escape sequences, turns the order of letters at bidirectional marks, and shows nothing for a zero-width
character; a lone surrogate cannot be encoded at all. Each such character is shown as the escape that JSON has for it,
so that text is readable and JSON stays the JSON that it was.
"""

import codecs
import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

# Letters and marks that are drawn as nothing, which Python counts among the printable ones.
_INVISIBLE = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, 0xFFA0)
_ERRORS = "expctl.escape"


class _Table(dict[int, str]):
    """Code point -> what is printed for it; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_space = character.isspace() and code > 0x9F and code not in (0x2028, 0x2029)
        is_shown = (character.isprintable() or is_space) and code not in _INVISIBLE
        self[code] = character if is_shown else _escape(code)
        return self[code]


def _escape(code: int) -> str:
    """`\\u001b`, as in JSON; beyond 16 bits a pair of surrogates."""
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


_TABLE = _Table({ord("\n"): "\n", ord("\t"): "\t"})


def printable(text: str) -> str:
    """The text with an escape for each character that a terminal would obey or not show; lines and tabs stay."""
    return text if text.isascii() and text.isprintable() else text.translate(_TABLE)


def shortened(text: str, most: int) -> str:
    """At most so many characters of a text, with a note of how many there are where it is cut."""
    if len(text) <= most:
        return text
    note = f"... ({len(text):,} characters)"
    return text[: max(0, most - len(note))] + note


class PrintableStream:
    """A text stream that prints escapes in the place of what a terminal would obey; the rest is that of `stream`."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text with escapes; the number of characters of the original."""
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line as `write` does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def only_printable() -> Iterator[None]:
    """Pass everything that this process prints through `printable`, whoever prints it and in whatever encoding."""
    codecs.register_error(_ERRORS, _escape_unencodable)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(filtered, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def filtered(stream: Any) -> Any:
    """The stream behind the filter; what the encoding of the stream has no character for is escaped too."""
    if stream is None or isinstance(stream, PrintableStream):
        return stream
    if isinstance(stream, io.TextIOWrapper):
        with contextlib.suppress(OSError):  # a stream that asks where it is, and has no place, keeps its own errors
            stream.reconfigure(errors=_ERRORS)
    return PrintableStream(stream)


def unfiltered(stream: Any) -> Any:
    """The stream below the filter, for writers of escape sequences that make their texts printable themselves."""
    return stream.stream if isinstance(stream, PrintableStream) else stream


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_escape(ord(character)) for character in error.object[error.start : error.end]), error.end
