"""The page's completions: what each group's model said to the same prompts, before training and after."""

from collections.abc import Sequence
from typing import Any

from expctl.base.plain_data import mapping
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record
from expctl.report.number import rounded
from expctl.report.page.markup import Markup, joined, pre, scrolling, section, tag
from expctl.runs.files import read_metrics

MOST_PROMPTS = 4


def samples(groups: Sequence[Grouped]) -> Markup | None:
    """A table a prompt; None where no run kept completions."""
    shown = _one_run_a_group(groups)
    if not shown:
        return None
    prompts = _prompts([rows for _, rows in shown.values()])
    seeds = {record.seed for record, _ in shown.values()}
    said = f"Completions of seed {next(iter(seeds))}." if len(seeds) == 1 else "Completions of one run a group."
    tables = [_table(place, prompt, shown) for place, prompt in enumerate(prompts, start=1)]
    without = [one.label for one in groups if one.label not in shown]
    if without:
        said += f" No completions were kept of {', '.join(without)}."
    return section("samples", "Completions side by side", tag("p", said), *tables)


def _one_run_a_group(groups: Sequence[Grouped]) -> dict[str, tuple[Record, list[dict[str, Any]]]]:
    """Group -> a run with its completions: of one seed in all groups where there is one, which has the same prompts."""
    kept = {one.label: [(record, rows) for record in one.records if (rows := _kept(record))] for one in groups}
    kept = {label: those for label, those in kept.items() if those}
    seeds = [{record.seed for record, _ in those} for those in kept.values()]
    common = set.intersection(*seeds) - {None} if seeds else set()
    wanted = min(common, default=None)
    return {label: next((pair for pair in those if pair[0].seed == wanted), those[0]) for label, those in kept.items()}


def _kept(record: Record) -> list[dict[str, Any]]:
    """The rows of a run's samples.jsonl that say what they should."""
    rows = read_metrics(record.run.samples)
    return [row for row in rows if isinstance(row.get("prompt"), str) and isinstance(row.get("completion"), str)
            and isinstance(row.get("step"), int)]  # fmt: skip


def _prompts(kept: Sequence[list[dict[str, Any]]]) -> list[str]:
    """The prompts that most groups have, in the order in which they came."""
    counts: dict[str, int] = {}
    for rows in kept:
        for prompt in dict.fromkeys(row["prompt"] for row in rows if row["step"] == rows[-1]["step"]):
            counts[prompt] = counts.get(prompt, 0) + 1
    return sorted(counts, key=lambda prompt: -counts[prompt])[:MOST_PROMPTS]


def _table(place: int, prompt: str, shown: dict[str, tuple[Record, list[dict[str, Any]]]]) -> Markup:
    columns = [tag("td"), *(tag("th", label, scope="col") for label in shown)]
    rows = [_row("before", 0, prompt, shown), _row("after", -1, prompt, shown)]
    if all(rows_of[0]["step"] == rows_of[-1]["step"] for _, rows_of in shown.values()):
        rows = rows[1:]
    caption = f"What was said to prompt {place}"
    body = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *columns)), tag("tbody", *rows), class_="samples"
    )
    return joined([tag("h3", f"Prompt {place}"), pre(prompt, class_="prompt", dir="auto"), scrolling(caption, body)])


def _row(when: str, at: int, prompt: str, shown: dict[str, tuple[Record, list[dict[str, Any]]]]) -> Markup:
    """The completions of the first or the last step that a run kept any of."""
    cells = []
    for _, rows in shown.values():
        step = rows[at]["step"]
        found = [row for row in rows if row["step"] == step and row["prompt"] == prompt]
        if when == "before" and step == rows[-1]["step"]:
            found = []
        cells.append(
            tag("td", *(_completion(row) for row in found)) if found else tag("td", "none kept", class_="note")
        )
    return tag("tr", tag("th", when, scope="row"), *cells)


def _completion(row: dict[str, Any]) -> Markup:
    rewards = mapping(row.get("rewards"))
    values = [f"{name} {rounded(value)}" for name, value in rewards.items()
              if value is None or isinstance(value, int | float)]  # fmt: skip
    note = ", ".join([f"step {row['step']}", *values])
    said = pre(row["completion"], dir="auto") if row["completion"].strip() else tag("p", "(empty)", class_="note")
    return joined([said, tag("p", note, class_="note")])
