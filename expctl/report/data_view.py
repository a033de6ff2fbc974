"""The data of an experiment on the terminal: rows as tokens, lengths, and what one should know of the content."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from expctl.base.printable import printable, shortened

if TYPE_CHECKING:
    from rich.text import Text

WIDTH, BAR = 100, 40
# Of a sequence as many lines are shown, the first and the last of them.
MOST_LINES = 24
LONGEST_CELL = 80
READ, TRAINED, CUT = "│", "┃", "╳"
MEANING = {READ: "read", TRAINED: "trained on", CUT: "cut off"}
STYLES = {READ: "dim", TRAINED: "green", CUT: "red"}
LENGTHS = {"whole": "whole row"}


def print_view(view: Mapping[str, Any]) -> None:
    """Print the view of `expctl.worker.data_view.view`, with the names of dataset and algorithm."""
    from expctl.report.screen import Screen

    console = Screen(width=WIDTH)
    for line in head_lines(view):
        console.print(line, soft_wrap=True)
    for example in view["examples"]:
        console.print()
        for text in _example(example, console.width):
            console.print(text, soft_wrap=True)
    for name, lengths in view["lengths"].items():
        console.print()
        for line in _histogram(name, lengths):
            console.print(line, soft_wrap=True)
    console.print()
    for label, sentence, is_wrong in sentences(view):
        console.print(f"{label:<11}{sentence}", style="bold" if is_wrong else None, soft_wrap=True)


def head_lines(view: Mapping[str, Any]) -> list[str]:
    """What the data are, how many rows there are and what their columns hold."""
    rows = ", ".join(f"{_count(count)} {_use(name)}" for name, count in view["rows"].items())
    columns = ", ".join(f"{name} ({kind})" for name, kind in view["columns"].items())
    lines = [
        f"{view['dataset']} for {view['algorithm']}: {view['kind']} data, as {view['trainer']} and the tokenizer of "
        f"{view['model']} take them",
        f"rows       {rows}",
        f"columns    {columns}",
    ]
    marks = {mark_of(piece) for row in view["examples"] for part in row["sequences"] for piece in part["pieces"]}
    if marks:
        lines.append("marks      " + ", ".join(f"{mark} {MEANING[mark]}" for mark in MEANING if mark in marks))
    return lines


def _use(name: str) -> str:
    return {"train": "to train on", "eval": "held out", "held_out": "held out"}.get(name, f"held out as {name}")


def _count(count: int | None) -> str:
    return "streamed rows" if count is None else f"{count:,}"


def mark_of(piece: Mapping[str, Any]) -> str:
    """The mark beside a piece of a row: whether it is trained on, only read, or cut off."""
    if piece["cut"]:
        return CUT
    return TRAINED if piece["trained"] else READ


def _example(example: Mapping[str, Any], width: int) -> Iterator["Text"]:
    from rich.text import Text

    if not example["sequences"]:
        yield Text(f"row {example['row']}: the trainer makes no tokens of it before a step", "bold")
    for sequence in example["sequences"]:
        name = "" if sequence["name"] in ("row", "prompt") else f", {sequence['name']}"
        trained = f", {sequence['trained']:,} trained on" if sequence["trained"] else ""
        yield Text(f"row {example['row']}{name}: {sequence['tokens']:,} tokens{trained}", "bold")
        yield from _most(list(_lines(sequence["pieces"], width - 4)))
    for name, cell in example["columns"].items():
        yield Text(f"  {name}: {shortened(' '.join(printable(str(cell)).split()), LONGEST_CELL)}", "dim")


def _lines(pieces: list[dict[str, Any]], width: int) -> Iterator["Text"]:
    """The text of pieces in lines, each below one mark: where a piece ends in a line, the next begins a new one."""
    from rich.text import Text

    mark, line = None, Text()
    for piece in pieces:
        if mark is not None and mark_of(piece) != mark and line.plain:
            yield _marked(mark, line)
            line = Text()
        mark = mark_of(piece)
        style = "bold cyan" if piece["special"] else ""
        *whole, rest = printable(piece["text"]).split("\n")
        for part in whole:
            yield from (_marked(mark, each) for each in _wrapped(line.append(part, style).append("⏎", "dim"), width))
            line = Text()
        line.append(rest, style)
    if mark is not None and line.plain:
        yield from (_marked(mark, each) for each in _wrapped(line, width))


def _wrapped(line: "Text", width: int) -> list["Text"]:
    places = range(width, max(len(line.plain), 1), width)
    return list(line.divide(places))


def _marked(mark: str, line: "Text") -> "Text":
    from rich.text import Text

    return Text.assemble("  ", (mark, STYLES[mark]), " ", line)


def _most(lines: list["Text"]) -> list["Text"]:
    """The first and the last lines, with how many are left out between them."""
    from rich.text import Text

    if len(lines) <= MOST_LINES:
        return lines
    half = MOST_LINES // 2
    between = Text(f"  [... {len(lines) - 2 * half} lines; --json and --html have all ...]", "dim")
    return [*lines[:half], between, *lines[-half:]]


def _histogram(name: str, lengths: Mapping[str, Any]) -> Iterator[str]:
    """A line a bin, its bar as long as it has rows."""
    yield (
        f"{LENGTHS.get(name, name)} in tokens: {lengths['min']:,} to {lengths['max']:,}, median {lengths['median']:,}, "
        f"95 % have at most {lengths['p95']:,}"
    )
    bins = lengths["histogram"]
    labels = [bin_label(each) for each in bins]
    room, most = max(map(len, labels)), max(each["rows"] for each in bins)
    for label, each in zip(labels, bins, strict=True):
        bar = "█" * round(BAR * each["rows"] / most) or ("▏" if each["rows"] else "")
        yield f"  {label:>{room}}  {bar:<{BAR}} {each['rows']:,}"


def bin_label(each: Mapping[str, int]) -> str:
    """`12` or `12-15`."""
    return f"{each['from']:,}" if each["from"] == each["to"] else f"{each['from']:,}-{each['to']:,}"


def sentences(view: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """What is to be known of lengths and content: a label, a sentence, and whether it is a reason to look again."""
    if view.get("left_out"):
        count, of = view["left_out"]
        yield "left out", f"{_rows(count, of)} left out by dataset.filter_tokens", bool(count)
    for limit in view["limits"]:
        yield "limit", *_limit(limit, view["looked_at"]["tokens"])
    looked, rows = view["looked_at"], view["rows"]["train"]
    if rows is None or looked["content"] < rows:
        yield "looked at", f"the first {looked['content']:,} rows", False
    if rows is not None and looked["tokens"] < rows:
        yield "looked at", f"tokens of {looked['tokens']:,} of {rows:,} rows, evenly spread", False
    repeated = view["repeated"]
    again = f"{_rows(repeated['rows'])} the same as an earlier one"
    others = repeated["prompts"] - repeated["rows"]
    more = f", {others:,} more have its prompt" if others else ""
    is_any = bool(repeated["prompts"])
    yield "repeated", f"{again}{more}" if is_any else "no row is there twice", is_any
    for name, counts in view["overlap"].items():
        yield "overlap", *_overlap(name, counts)
    for column, counts in view["balance"].items():
        listed = ", ".join(
            f"{value or '(empty)'} {count:,} ({_share(count, counts)})" for value, count in counts.items()
        )
        yield "balance", f"{column}: {listed}", False
    if view["chosen"]:
        sides = ", ".join(f"{count:,} {word}" for word, count in view["chosen"].items())
        yield "chosen", f"the chosen side beside the rejected one: {sides}", False
    for odd in view["odd"]:
        excerpt = f": {' '.join(odd['excerpt'].split())}" if odd["excerpt"].strip() else ""
        count = "one row, row" if odd["rows"] == 1 else f"{odd['rows']:,} rows, the first of them row"
        where = f"in '{odd['column']}' of {count} {odd['first']:,}"
        yield "odd", f"{odd['what']} {where}{excerpt}", True
    if not view["odd"]:
        yield "odd", "no cell is empty or looks wrong", False


def _share(count: int, counts: Mapping[str, int]) -> str:
    return f"{count / sum(counts.values()):.0%}".replace("%", " %")


def _limit(limit: Mapping[str, Any], rows: int) -> tuple[str, bool]:
    """What a limit does, and whether it does anything."""
    name, tokens, over = limit["limit"], f"{limit['tokens']:,}", limit["over"]
    if "packed" in limit:
        return f"{name}={tokens}: {rows:,} rows are packed into {limit['packed']:,} sequences", False
    if name == "args.max_length":
        dropped = limit["dropped"]
        longer = f"{name}={tokens}: {_rows(over, rows)} longer"
        return (f"{longer}: {over - dropped:,} cut, {dropped:,} dropped", True) if over or dropped else (longer, False)
    what = f"the model has {tokens} positions" if name == "positions" else f"{name}={tokens}"
    sampled = f" with a completion of {limit['sampled']:,} tokens" if limit["sampled"] else ""
    return f"{what}: {_rows(over, rows)} longer{sampled}", bool(over)


def _rows(count: int, of: int | None = None) -> str:
    """`3 rows are`, `1 of 20 rows is`."""
    verb = "is" if count <= 1 else "are"
    number = f"{count:,}" if count else "none"
    if of is not None:
        return f"{number} of {of:,} rows {verb}"
    return f"{number} row {verb}" if count == 1 else f"{number} rows {verb}"


def _overlap(name: str, counts: Mapping[str, Any]) -> tuple[str, bool]:
    """How much of what is held out is trained on as well."""
    held_out = f"{counts['rows']:,} held-out rows" if name == "eval" else f"{counts['rows']:,} rows of {name}"
    if not counts["same"] and not counts["nearly"]:
        return f"none of {held_out} is also trained on", False
    nearly = f", {counts['nearly']:,} more but for case and spaces" if counts["nearly"] else ""
    return f"{counts['same']:,} of {held_out} are also trained on{nearly}", True
