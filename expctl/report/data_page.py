"""The data of an experiment on a page that asks the network for nothing."""

from collections.abc import Mapping
from typing import Any

from expctl.report.data_view import LENGTHS, MEANING, bin_label, head_lines, mark_of, sentences
from expctl.report.page.markup import Markup, joined, pre, section, table, tag
from expctl.report.page.page import document

TITLES = {"content": "What to know", "rows": "Rows", "lengths": "Lengths", "command": "Command"}
_CLASSES = {"│": "read", "┃": "trained", "╳": "cut"}


def data_page(view: Mapping[str, Any], command: str) -> str:
    """The page as text.

    Args:
        view: as `expctl.report.data_view.print_view` takes it.
        command: what was typed for it.
    """
    sections = {
        "content": _content(view),
        "rows": _rows(view),
        "lengths": section("lengths", TITLES["lengths"], *(_lengths(*each) for each in view["lengths"].items())),
        "command": section("command", TITLES["command"], pre(command, class_="command")),
    }
    title, *about = head_lines(view)
    links = [tag("li", tag("a", TITLES[name], href=f"#{name}")) for name in sections]
    navigation = tag("nav", tag("ul", *links), aria_label="Sections")
    skip = tag("a", "To the rows", href="#rows", class_="skip")
    lines = [tag("p", line, class_="note") for line in about if not line.startswith("marks")]
    header = tag("header", tag("p", "expctl data", class_="note"), tag("h1", title), *lines, navigation)
    return document(f"{title} - expctl data", tag("body", skip, header, tag("main", *sections.values())))


def _content(view: Mapping[str, Any]) -> Markup:
    """What is to be known of the data, reasons to look again in bold."""
    items = []
    for label, sentence, is_wrong in sentences(view):
        items.append(tag("li", f"{label}: ", tag("strong", sentence, class_="open") if is_wrong else sentence))
    return section("content", TITLES["content"], tag("ul", *items, class_="verdicts"))


def _rows(view: Mapping[str, Any]) -> Markup:
    legend = [tag("span", meaning, class_=_CLASSES[mark]) for mark, meaning in MEANING.items()]
    key = tag("p", *(joined([each, " "]) for each in legend), class_="note")
    parts: list[Any] = [key]
    for example in view["examples"]:
        parts.append(tag("h3", f"Row {example['row']}"))
        for sequence in example["sequences"]:
            name = "" if sequence["name"] == "row" else f"{sequence['name']}: "
            counts = f"{name}{sequence['tokens']:,} tokens, {sequence['trained']:,} trained on"
            parts += [tag("p", counts, class_="note"), tag("pre", "\n", *_pieces(sequence["pieces"]), dir="auto")]
        if example["columns"]:
            cells = [(name, pre(str(cell), dir="auto")) for name, cell in example["columns"].items()]
            parts.append(table(f"Other columns of row {example['row']}", ["column", "cell"], cells))
    return section("rows", TITLES["rows"], *parts)


def _pieces(pieces: list[dict[str, Any]]) -> list[Markup]:
    return [
        tag("span", piece["text"], class_=_CLASSES[mark_of(piece)] + (" special" if piece["special"] else ""))
        for piece in pieces
    ]


def _lengths(name: str, lengths: Mapping[str, Any]) -> Markup:
    """A table with a bar a bin."""
    most = max(each["rows"] for each in lengths["histogram"])
    rows = [
        (bin_label(each), f"{each['rows']:,}", tag("td", _bar(each["rows"] / most), class_="bar"))
        for each in lengths["histogram"]
    ]
    spread = (
        f"{lengths['min']:,} to {lengths['max']:,} tokens, median {lengths['median']:,}, mean {lengths['mean']:.1f}, "
        f"95 % have at most {lengths['p95']:,}"
    )
    title = LENGTHS.get(name, name)
    bars = table(
        f"{title.capitalize()} in tokens", ["tokens", "rows", "share of the fullest"], rows, class_="numbers bars"
    )
    return joined([tag("h3", title.capitalize()), tag("p", spread, class_="note"), bars])


def _bar(share: float) -> Markup:
    return tag("div", style=f"width: {max(share * 100, 0):.1f}%", aria_hidden="true")
