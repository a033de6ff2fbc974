"""HTML in which text stays text, whatever it says."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

# No character of a page: control characters, halves of characters that UTF-8 cannot write, and marks that turn the
# order of what follows.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_VOID = ("meta",)


class Markup(str):
    """What may stand in a page as it is."""


def escaped(text: Any) -> Markup:
    """Text as it reads, with what is no character of a page replaced."""
    return Markup(html.escape(_UNPRINTABLE.sub("\ufffd", str(text).replace("\r\n", "\n"))))


def tag(name: str, /, *inside: Any, **attributes: Any) -> Markup:
    """An element; what is in it is escaped unless it is `Markup`. `class_` is `class`, `aria_label` is `aria-label`,
    True an attribute without a value, None none."""
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None:
            words.append(f'{key}="{escaped(value)}"')
    return Markup(f"<{' '.join(words)}>" + ("" if name in _VOID else f"{joined(inside)}</{name}>"))


def joined(parts: Iterable[Any]) -> Markup:
    """Parts one after the other; what is no `Markup` is escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escaped(part) for part in parts))


def pre(text: str, **attributes: Any) -> Markup:
    """Text with its lines; a browser drops the first line break, so there is one more."""
    return tag("pre", "\n", text, **attributes)


def table(caption: str, columns: Sequence[Any], rows: Iterable[Sequence[Any]], **attributes: Any) -> Markup:
    """A table whose first column names the rows, in a region that scrolls by itself and by keyboard."""
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = [row if isinstance(row, Markup) else _row(row) for row in rows]
    inside = tag("caption", caption), tag("thead", head), tag("tbody", *body)
    return scrolling(caption, tag("table", *inside, **attributes))


def _row(cells: Sequence[Any]) -> Markup:
    return tag("tr", tag("th", cells[0], scope="row"), *map(_cell, cells[1:]))


def _cell(content: Any) -> Markup:
    return content if isinstance(content, Markup) and content.startswith("<td") else tag("td", content)


def scrolling(name: str, content: Markup) -> Markup:
    """A region that scrolls by itself and by keyboard."""
    return tag("div", content, class_="scrolls", role="group", aria_label=name, tabindex="0")


def section(name: str, title: str, *inside: Any) -> Markup:
    """A section of the page with its heading; `name` is its id."""
    return tag("section", tag("h2", title, id=f"{name}-title"), *inside, id=name, aria_labelledby=f"{name}-title")
