"""The rewards of given completions as a table, with what the functions said of each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.table import Table
from rich.text import Text

from expctl.base.printable import printable
from expctl.report.number import rounded
from expctl.report.screen import Screen

ALL = -1
WIDEST = 24  # characters of what a function says of a row
LONGEST = 2000
NARROWEST = 12
SHORTEST = 16  # characters of a completion's end
Values = list[float | None]


@dataclass(frozen=True)
class Scores:
    """Completions and their rewards.

    Args:
        rows: each with `completion`.
        values: name of a function -> one value a row, None where it gave none.
        weights: name -> its weight in the sum.
        why: name -> title -> what the function said of each row.
    """

    rows: list[dict[str, Any]]
    values: dict[str, Values]
    weights: dict[str, float]
    why: dict[str, dict[str, list[Any]]]

    @cached_property
    def sums(self) -> Values:
        """The weighted sum of each row, of the values that there are; None where there are none."""
        return [self._sum(index) for index in range(len(self.rows))]

    def _sum(self, index: int) -> float | None:
        given = {name: values[index] for name, values in self.values.items()}
        parts = [self.weights[name] * value for name, value in given.items() if value is not None]
        return sum(parts) if parts else None

    def said(self, index: int) -> dict[str, Any]:
        """What the functions said of a row, by title; by function and title where two have the same."""
        titles = [title for columns in self.why.values() for title in columns]
        return {
            title if titles.count(title) == 1 else f"{name}: {title}": column[index]
            for name, columns in self.why.items()
            for title, column in columns.items()
            if index < len(column)
        }


def as_json(scores: Scores) -> dict[str, Any]:
    """The scores as `--json` prints them."""
    functions = {
        name: {"weight": scores.weights[name], "mean": mean(values), "missing": values.count(None)}
        for name, values in scores.values.items()
    }
    sums = scores.sums
    rows = [
        {
            "prompt": row.get("prompt"),
            "completion": row["completion"],
            "rewards": {name: values[index] for name, values in scores.values.items()},
            "reward": sums[index],
            "why": {name: {title: said[index] for title, said in of.items()} for name, of in scores.why.items()},
        }
        for index, row in enumerate(scores.rows)
    ]
    return {"functions": functions, "reward": mean(sums), "rows": rows}


def mean(values: Values) -> float | None:
    """The mean of the values that there are; None where there are none."""
    given = [value for value in values if value is not None]
    return sum(given) / len(given) if given else None


def print_scores(scores: Scores, source: str, shown: int, cut: int) -> None:
    """Print a line a row, and the means.

    Args:
        scores: of all rows.
        source: where the completions are from.
        shown: how many rows; ALL for all.
        cut: rows of the source that were left out, since they are not whole.
    """
    screen = Screen()
    count = len(scores.rows)
    weighted = ", ".join(f"{name} (weight {rounded(weight)})" for name, weight in scores.weights.items())
    screen.print(f"{_counted(count, 'completion')} of {source}, rewarded by {weighted}\n")
    screen.print(_table(scores, count if shown == ALL else min(shown, count)))
    for name, values in scores.values.items():
        if missing := values.count(None):
            screen.print(f"{name} is missing for {_counted(missing, 'completion')}")
    if 0 <= shown < count:
        screen.print(f"{_counted(count - shown, 'row')} more: --rows all, or --json")
    if cut:
        screen.print(f"{_counted(cut, 'sample')} left out, of which the run has kept the beginning and the end only")


def _table(scores: Scores, shown: int) -> Table:
    several = len(scores.values) > 1 or any(weight != 1 for weight in scores.weights.values())
    said = [{title: _line(value) for title, value in scores.said(index).items()} for index in range(shown)]
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    room = Screen().width - _add_number(table, "row", "mean")
    for name, values in scores.values.items():
        room -= _add_number(table, printable(name), rounded(mean(values)))
    if several:
        room -= _add_number(table, "reward", rounded(mean(scores.sums)))
    titles = list(dict.fromkeys(title for of_row in said for title in of_row))
    share = max(NARROWEST, room // max(1, len(titles)) - 2)
    for title in titles:
        widest = max(len(printable(title)), *(len(of_row.get(title, "")) for of_row in said))
        width = min(widest, share, WIDEST)
        table.add_column(Text(printable(title)), width=width, no_wrap=True, overflow="ellipsis")
        room -= width + 2
    has_end = room >= SHORTEST  # a narrow screen is left to what was read
    if has_end:
        table.add_column("the end", no_wrap=True, overflow="ellipsis")
    for index, of_row in enumerate(said):
        cells = [str(index + 1), *(_value(values[index]) for values in scores.values.values())]
        cells += [_value(scores.sums[index])] if several else []
        texts = [of_row.get(title, "") for title in titles]
        texts += [_end(scores.rows[index]["completion"], room)] if has_end else []
        table.add_row(*cells, *map(Text, texts))
    return table


def _add_number(table: Table, title: str, footer: str) -> int:
    """Add a column of numbers; the columns of the screen that it takes."""
    width = max(len(title), len(footer), 4)
    table.add_column(Text(title), footer, justify="right", no_wrap=True, width=width)
    return width + 2


def _value(value: float | None) -> str:
    return "-" if value is None else rounded(value)


def _line(value: Any) -> str:
    return "" if value is None else printable(" ".join(str(value)[:LONGEST].split()))


def _end(completion: Any, room: int) -> str:
    """The end of a completion in one line: the answer is there."""
    text = completion
    if isinstance(completion, list):
        text = completion[-1].get("content", "") if completion and isinstance(completion[-1], dict) else completion
    line = printable(" ".join(str(text)[-LONGEST:].split()))
    return line if len(line) <= room else f"…{line[-room:]}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
