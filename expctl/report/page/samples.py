"""The page's completions: what each group's model said to the same prompts, before training and after."""

from collections.abc import Sequence
from typing import Any

from expctl.base.plain_data import mapping
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record
from expctl.report.number import rounded
from expctl.report.page.markup import Markup, joined, pre, scrolling, section, tag
from expctl.report.run_page import ending_of
from expctl.runs.files import read_metrics

MOST_PROMPTS = 4


def samples(groups: Sequence[Grouped]) -> Markup | None:
    """A table a prompt; None where no run kept completions."""
    shown = _one_run_a_group(groups)
    if not shown:
        return None
    prompts = _prompts([rows for _, rows in shown.values()])
    seeds = {record.seed for record, _ in shown.values()}
    note = f"Completions of seed {next(iter(seeds))}." if len(seeds) == 1 else "Completions of one run a group."
    tables = [_table(number, prompt, shown) for number, prompt in enumerate(prompts, start=1)]
    without = [group.label for group in groups if group.label not in shown]
    if without:
        note += f" No completions were kept of {', '.join(without)}."
    return section("samples", "Completions side by side", tag("p", note), *tables)


def _one_run_a_group(groups: Sequence[Grouped]) -> dict[str, tuple[Record, list[dict[str, Any]]]]:
    """Group -> a run with its completions: of one seed in all groups where there is one, which has the same prompts."""
    kept = {}
    for group in groups:
        pairs = [(record, _kept(record)) for record in group.records]
        kept[group.label] = [(record, rows) for record, rows in pairs if rows]
    kept = {label: pairs for label, pairs in kept.items() if pairs}
    seeds = [{record.seed for record, _ in pairs if record.seed is not None} for pairs in kept.values()]
    wanted = min(set.intersection(*seeds), default=None) if seeds else None
    chosen = {}
    for label, pairs in kept.items():
        of_seed = [pair for pair in pairs if pair[0].seed == wanted]
        chosen[label] = (of_seed or pairs)[0]
    return chosen


def _kept(record: Record) -> list[dict[str, Any]]:
    """The rows of a run's samples.jsonl that say what they should."""
    types = {"prompt": str, "completion": str, "step": int}
    rows = read_metrics(record.run.samples)
    return [row for row in rows if all(isinstance(row.get(name), kind) for name, kind in types.items())]


def _prompts(kept: Sequence[list[dict[str, Any]]]) -> list[str]:
    """The prompts that most groups have, in the order in which they came."""
    counts: dict[str, int] = {}
    for rows in kept:
        for prompt in dict.fromkeys(row["prompt"] for row in rows if row["step"] == rows[-1]["step"]):
            counts[prompt] = counts.get(prompt, 0) + 1
    return sorted(counts, key=lambda prompt: -counts[prompt])[:MOST_PROMPTS]


def _table(number: int, prompt: str, shown: dict[str, tuple[Record, list[dict[str, Any]]]]) -> Markup:
    columns = [tag("td"), *(tag("th", label, scope="col") for label in shown)]
    rows = [_row("before", 0, prompt, shown), _row("after", -1, prompt, shown)]
    if all(rows_of[0]["step"] == rows_of[-1]["step"] for _, rows_of in shown.values()):
        rows = rows[1:]
    caption = f"What was said to prompt {number}"
    body = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *columns)), tag("tbody", *rows), class_="samples"
    )
    return joined([tag("h3", f"Prompt {number}"), pre(prompt, class_="prompt", dir="auto"), scrolling(caption, body)])


def _row(when: str, at: int, prompt: str, shown: dict[str, tuple[Record, list[dict[str, Any]]]]) -> Markup:
    """The completions of the first or the last step that a run kept any of."""
    cells = []
    for _, rows in shown.values():
        step = rows[at]["step"]
        completions = [_completion(row) for row in rows if row["step"] == step and row["prompt"] == prompt]
        if when == "before" and step == rows[-1]["step"]:
            completions = []
        cells.append(tag("td", *completions) if completions else tag("td", "none kept", class_="note"))
    return tag("tr", tag("th", when, scope="row"), *cells)


def _completion(row: dict[str, Any]) -> Markup:
    rewards = mapping(row.get("rewards"))
    numbers = {name: value for name, value in rewards.items() if value is None or isinstance(value, int | float)}
    values = [f"{name} {rounded(value)}" for name, value in numbers.items()]
    note = ", ".join([f"step {row['step']}", *values, *ending_of(row)])
    empty = tag("p", "(empty)", class_="note")
    completion = pre(row["completion"], dir="auto") if row["completion"].strip() else empty
    return joined([completion, tag("p", note, class_="note")])
