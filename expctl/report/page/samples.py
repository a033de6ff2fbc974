"""The page's completions: what each group's model said to the same prompts, before, during and after training."""

from collections.abc import Sequence
from typing import Any

from expctl.compare.groups import Grouped
from expctl.compare.runs import Record
from expctl.report.changed_words import changed_words, evenly
from expctl.report.measures import measures
from expctl.report.page.markup import Markup, joined, pre, scrolling, section, tag
from expctl.runs.files import read_metrics

MOST_PROMPTS = 4
WHEN = ("before", "during", "after")
Row = dict[str, Any]
Shown = dict[str, tuple[Record, list[Row]]]


def samples(groups: Sequence[Grouped]) -> Markup | None:
    """A table a prompt; None where no run kept completions."""
    shown = _one_run_a_group(groups)
    if not shown:
        return None
    prompts = _prompts([rows for _, rows in shown.values()])
    seeds = {record.seed for record, _ in shown.values()}
    note = f"Completions of seed {next(iter(seeds))}." if len(seeds) == 1 else "Completions of one run a group."
    note += " What is marked is new against the row above."
    tables = [_table(number, prompt, shown) for number, prompt in enumerate(prompts, start=1)]
    without = [group.label for group in groups if group.label not in shown]
    if without:
        note += f" No completions were kept of {', '.join(without)}."
    return section("samples", "Completions side by side", tag("p", note), *tables)


def _one_run_a_group(groups: Sequence[Grouped]) -> Shown:
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


def _kept(record: Record) -> list[Row]:
    """The rows of a run's samples.jsonl that say what they should."""
    types = {"prompt": str, "completion": str, "step": int}
    rows = read_metrics(record.run.samples)
    return [row for row in rows if all(isinstance(row.get(name), kind) for name, kind in types.items())]


def _prompts(kept: Sequence[list[Row]]) -> list[str]:
    """The prompts that most groups have, in the order in which they came."""
    counts: dict[str, int] = {}
    for rows in kept:
        for prompt in dict.fromkeys(row["prompt"] for row in rows if row["step"] == rows[-1]["step"]):
            counts[prompt] = counts.get(prompt, 0) + 1
    return sorted(counts, key=lambda prompt: -counts[prompt])[:MOST_PROMPTS]


def _table(number: int, prompt: str, shown: Shown) -> Markup:
    columns = [tag("td"), *(tag("th", label, scope="col") for label in shown)]
    said = [_said(prompt, rows) for _, rows in shown.values()]
    whens = [when for when in WHEN if any(when in of_group for of_group in said)]
    caption = f"What was said to prompt {number}"
    body = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *columns)),
        tag("tbody", *(_row(when, said) for when in whens)),
        class_="samples",
    )
    return joined([tag("h3", f"Prompt {number}"), pre(prompt, class_="prompt", dir="auto"), scrolling(caption, body)])


def _said(prompt: str, rows: list[Row]) -> dict[str, list[Row]]:
    """When -> the completions of the run's first step with completions, one between, and its last."""
    steps = evenly(list(dict.fromkeys(row["step"] for row in rows)), len(WHEN))
    whens = WHEN[-1:] if len(steps) == 1 else WHEN if len(steps) == len(WHEN) else (WHEN[0], WHEN[-1])
    said = {}
    for when, step in zip(whens, steps, strict=True):
        said[when] = [row for row in rows if row["step"] == step and row["prompt"] == prompt]
    return said


def _row(when: str, said: Sequence[dict[str, list[Row]]]) -> Markup:
    cells = []
    for of_group in said:
        earlier = [rows[0] for name, rows in of_group.items() if rows and WHEN.index(name) < WHEN.index(when)]
        before = earlier[-1] if earlier else None
        completions = [_completion(row, before) for row in of_group.get(when, [])]
        cells.append(tag("td", *completions) if completions else tag("td", "none kept", class_="note"))
    return tag("tr", tag("th", when, scope="row"), *cells)


def _completion(row: Row, earlier: Row | None) -> Markup:
    """A completion with its rewards; what it says otherwise than the one above is marked."""
    note = tag("p", f"step {row['step']}, {measures(row, earlier)}", class_="note")
    if not row["completion"].strip():
        return joined([tag("p", "(empty)", class_="note"), note])
    before = earlier["completion"] if earlier else row["completion"]
    pieces = [tag("mark", text) if is_new else text for text, is_new in changed_words(before, row["completion"])]
    return joined([pre(joined(pieces), dir="auto"), note])
