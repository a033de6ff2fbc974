"""What rows hold, apart from their tokens: repetitions, overlap, the balance of labels, cells that look wrong."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from html.entities import html5
from typing import Any

from expctl.data.images import IMAGES, identity

Row = dict[str, Any]
# A column with more values is no label.
MOST_VALUES = 12
LONGEST_VALUE = 60
# Of a cell that looks wrong as much is shown.
EXCERPT = 60
_MISREAD = re.compile(
    "\u00c3[\u0080-\u00bf]|\u00e2\u20ac|\u00c2[\u00a0-\u00bf]"
)  # UTF-8 read as Latin-1 or Windows-1252
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE)


def key_of(row: Row) -> str:
    """What makes a row that row: its prompt, or all that it says where it has none."""
    if not row.get("prompt"):
        return text_of(dict(row))
    images = f" {identity(row[IMAGES])}" if row.get(IMAGES) else ""
    return text_of(row["prompt"]) + images


def text_of(cell: Any) -> str:
    """A cell as text: itself, or its JSON."""
    return cell if isinstance(cell, str) else json.dumps(cell, sort_keys=True, default=str)


def repetitions(rows: list[Row]) -> dict[str, int]:
    """How many `rows` say exactly what an earlier one says, and how many have the `prompts` of an earlier one."""
    whole = len({text_of(dict(row)) for row in rows})
    return {"rows": len(rows) - whole, "prompts": len(rows) - len({key_of(row) for row in rows})}


def overlap(train: list[Row], held_out: list[Row]) -> dict[str, Any]:
    """How many `rows` that are held out are also trained on.

    `same`: by the prompt as it is; `nearly`: further ones, that differ in case and spaces only; `example`: of one.
    """
    trained = {key_of(row) for row in train}
    nearly_trained = {_folded(key) for key in trained}
    keys = [key_of(row) for row in held_out]
    same = [key for key in keys if key in trained]
    nearly = [key for key in keys if key not in trained and _folded(key) in nearly_trained]
    example = next(iter(same + nearly), None)
    return {"rows": len(keys), "same": len(same), "nearly": len(nearly), "example": example}


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def balance(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Column -> value -> rows (of a list: cells), of each column that holds a few values again and again."""
    columns = dict.fromkeys(name for row in rows for name in row)
    counted = {column: _few_values(row.get(column) for row in rows) for column in columns}
    return {column: counts for column, counts in counted.items() if 1 < len(counts) < len(rows)}


def _few_values(cells: Iterable[Any]) -> dict[str, int]:
    """Value -> how often it is there, the most frequent first; empty where the values are many, long or no values."""
    counts: Counter[str] = Counter()
    for cell in cells:
        for value in cell if isinstance(cell, list) else [cell]:
            if not isinstance(value, str | bool | int | None) or len(str(value)) > LONGEST_VALUE:
                return {}
            counts[value if isinstance(value, str) else json.dumps(value)] += 1
        if len(counts) > MOST_VALUES:
            return {}
    return dict(counts.most_common())


def preferences(rows: list[Row]) -> dict[str, int] | None:
    """In how many rows the chosen side is longer, as long, or shorter, in characters; None where there are no sides."""
    sides = [(size(row["chosen"]), size(row["rejected"])) for row in rows if row.get("chosen") and row.get("rejected")]
    if not sides:
        return None
    return {
        "longer": sum(chosen > rejected for chosen, rejected in sides),
        "as long": sum(chosen == rejected for chosen, rejected in sides),
        "shorter": sum(chosen < rejected for chosen, rejected in sides),
    }


def size(cell: Any) -> int:
    """Characters of the texts in a cell."""
    return sum(len(text) for text in texts(cell))


def texts(cell: Any) -> Iterator[str]:
    """Every text in a cell, of conversations what is said."""
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, Mapping):
        for name, part in cell.items():
            if name not in ("role", "from"):
                yield from texts(part)
    elif isinstance(cell, list):
        for part in cell:
            yield from texts(part)


def odd_cells(rows: list[Row], special_tokens: Iterable[str]) -> list[dict[str, Any]]:
    """Cells that are seldom meant as they are: what of, in which column, in how many rows, the first, and an excerpt.

    `special_tokens`: of the tokenizer; in a text they end a turn that nobody ended.
    """
    signs = _signs([token for token in special_tokens if len(token) > 2])
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        for column, cell in row.items():
            for what, excerpt in _odd(cell, signs):
                noted = found.setdefault(
                    (what, column), {"what": what, "column": column, "rows": 0, "first": number, "excerpt": excerpt}
                )
                noted["rows"] += 1
        if "chosen" in row and row["chosen"] == row.get("rejected"):
            what = "chosen and rejected are the same"
            noted = found.setdefault(
                (what, ""), {"what": what, "column": "chosen", "rows": 0, "first": number, "excerpt": ""}
            )
            noted["rows"] += 1
    return sorted(found.values(), key=lambda each: -each["rows"])


def _signs(tokens: list[str]) -> dict[str, Callable[[str], int | None]]:
    """What is wrong -> where in a text it is, None where it is not."""
    special = re.compile("|".join(map(re.escape, tokens))) if tokens else None
    return {
        "empty": lambda text: None if text.strip() else 0,
        "a special token of the tokenizer": lambda text: _place(special, text),
        "a character that could not be read (U+FFFD)": lambda text: _found(text, "\ufffd"),
        "a control character": lambda text: _place(_CONTROL, text),
        "letters of a wrong encoding": lambda text: _place(_MISREAD, text),
        "an HTML entity": lambda text: _entity(text),
        "reasoning that is not closed (<think>)": lambda text: _unclosed(text),
    }


def _odd(cell: Any, signs: Mapping[str, Callable[[str], int | None]]) -> Iterator[tuple[str, str]]:
    """What is odd about a cell, each once, with an excerpt."""
    if cell is None or cell == []:
        yield "missing" if cell is None else "empty", ""
        return
    said = list(texts(cell))
    for what, place_in in signs.items():
        for text in said:
            place = place_in(text)
            if place is not None:
                yield what, text[max(0, place - EXCERPT // 3) : place + EXCERPT]
                break


def _place(pattern: re.Pattern[str] | None, text: str) -> int | None:
    match = pattern.search(text) if pattern else None
    return match.start() if match else None


def _found(text: str, part: str) -> int | None:
    return text.index(part) if part in text else None


def _entity(text: str) -> int | None:
    named = (match for match in _ENTITY.finditer(text) if match[0][1] == "#" or match[0][1:] in html5)
    return next((match.start() for match in named), None)


def _unclosed(text: str) -> int | None:
    opened = text.rfind("<think>")
    return opened if opened >= 0 and "</think>" not in text[opened:] else None
