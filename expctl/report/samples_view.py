"""A run's completions of the same prompts before, during and after its training, with what changed."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from rich.padding import Padding
from rich.text import Text

from expctl.base.plain_data import is_number
from expctl.report.changed_words import changed_words, evenly
from expctl.report.measures import measures, numbers
from expctl.report.number import rounded
from expctl.report.screen import Screen

Row = dict[str, Any]
# Of the evaluations of a long training so many are shown.
MOST_STEPS = 5
WIDTH = 100  # where the output is no terminal
NOT_TWICE = (
    "No prompt was completed at two steps, so nothing can be held against each other: these are completions of the "
    "training, of the prompts as they came. With args.do_eval=true the same held-out prompts come at each evaluation."
)


def print_samples(run_id: str, rows: Sequence[Row]) -> None:
    """Each prompt with its completions, whole, in the order of the steps; what is new in them in bold.

    Args:
        rows: of `samples.jsonl`, in the order of their steps.
    """
    console = Screen(width=WIDTH)
    console.print(run_id, soft_wrap=True)
    steps = list(dict.fromkeys(row["step"] for row in rows))
    by_prompt: dict[str, list[Row]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt"], []).append(row)
    again = {prompt: own for prompt, own in by_prompt.items() if len({row["step"] for row in own}) > 1}
    if not again:
        console.print(Padding(NOT_TWICE, (1, 0, 0, 2), expand=False))
    shown = evenly(steps, MOST_STEPS)
    for number, (prompt, own) in enumerate((again or by_prompt).items(), start=1):
        _print_prompt(console, number, prompt, [row for row in own if not again or row["step"] in shown])
    if again and len(steps) > len(shown):
        console.print(f"\n  {len(steps) - len(shown)} of {len(steps)} steps are left out; --json has all")
    if again:
        console.print()
        for line in _summary(again):
            console.print(line, soft_wrap=True)


def _print_prompt(console: Screen, number: int, prompt: str, rows: Sequence[Row]) -> None:
    console.print()
    console.print(Text(f"prompt {number}", style="bold"))
    console.print(Padding(Text(prompt), (0, 0, 0, 2), expand=False))
    earlier: Row | None = None
    for row in rows:
        console.print(
            Padding(Text(f"step {row['step']}   {measures(row, earlier)}", style="cyan"), (0, 0, 0, 4), expand=False)
        )
        console.print(Padding(_marked(row, earlier), (0, 0, 0, 6), expand=False))
        earlier = row


def _marked(row: Row, earlier: Row | None) -> Text:
    if not row["completion"].strip():
        return Text("(empty)")
    if earlier is not None and earlier["completion"] == row["completion"]:
        return Text(f"(as at step {earlier['step']})")
    completion = row["completion"].strip()
    text = Text()
    for piece, is_new in changed_words(earlier["completion"].strip() if earlier else completion, completion):
        text.append(piece, style="bold" if is_new else "")
    return text


def _summary(by_prompt: dict[str, list[Row]]) -> list[str]:
    """A line a reward and one for the length: the mean over the prompts at the first and at the last step of each."""
    first = [_means([row for row in rows if row["step"] == rows[0]["step"]]) for rows in by_prompt.values()]
    last = [_means([row for row in rows if row["step"] == rows[-1]["step"]]) for rows in by_prompt.values()]
    lines = [f"  first to last step, mean over the prompts shown ({len(by_prompt)})"]
    for name in dict.fromkeys(name for means in [*first, *last] for name in means):
        before = [means[name] for means in first if name in means]
        after = [means[name] for means in last if name in means]
        if before and after:
            lines.append(f"    {name} {rounded(fmean(before))} -> {rounded(fmean(after))}")
    return lines


def _means(rows: Sequence[Row]) -> dict[str, float]:
    means = {}
    for name in dict.fromkeys(name for row in rows for name in numbers(row)):
        values = [value for row in rows if is_number(value := numbers(row).get(name))]
        if values:
            means[name] = fmean(value for value in values if value is not None)
    return means
