"""An evaluation as a person reads it: each metric with its interval over the prompts."""

import re

from expctl.base.metric_titles import REWARD_FUNCTION, named, of_set, sets_in
from expctl.report.number import no_objective, rounded
from expctl.runs.files import Run
from expctl.runs.reading import read_rows
from expctl.runs.records import Summary


def is_evaluation(run: Run) -> bool:
    """Whether a completed run has evaluated, and trained nothing."""
    return run.completions.is_file()


def print_evaluation(run: Run, summary: Summary) -> None:
    """The metrics with their intervals, and where the completions are."""
    from rich.table import Table

    from expctl.report.screen import Screen

    console = Screen(width=100)
    prompts, completions = counts(run)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("held-out")
    table.add_column("mean", justify="right")
    table.add_column("95 % interval")
    for title, value, interval in evaluated(summary):
        table.add_row(title, f"{value:.3f}", "to".join(f" {end:.3f} " for end in interval).strip())
    console.print()
    console.print(table)
    console.print()
    reason = no_objective(summary)
    objective = f"{summary.objective_name} = {rounded(summary.objective)}"
    objective = f"no objective ({summary.objective_name}): {reason};" if reason else objective
    took = f"of {prompts} prompts, {completions} completions, in {summary.seconds.get('total') or 0.0:.0f} s"
    console.print(f"{objective} {took}", soft_wrap=True)
    console.print(f"completions  {run.completions}", soft_wrap=True)


def evaluated(summary: Summary) -> list[tuple[str, float, list[float]]]:
    """Title, value and interval (empty where there is none) of each metric; a reward that is the only one once."""
    sets = sets_in(summary.after)
    titled = {key: title for key, value in summary.after.items() for title, _ in named({key: value}, "eval_", sets)}
    order = list(dict(named(summary.after, "eval_")))
    functions = {key for key in titled if re.fullmatch(f"eval_{REWARD_FUNCTION}", of_set(key, sets)[1])}
    alone = [name for name in ("", *sets) if sum(of_set(key, sets)[0] == name for key in functions) == 1]
    rows = []
    for key in sorted(titled, key=lambda key: order.index(titled[key])):
        value = summary.after[key]
        name, plain = of_set(key, sets)
        if value is not None and not (plain == "eval_reward" and name in alone):
            rows.append((titled[key], value, summary.intervals.get(key, [])))
    return rows


def counts(run: Run) -> tuple[int, int]:
    """How many prompts and how many completions an evaluation has kept."""
    rows, _ = read_rows(run.completions)
    kept = [row.get("completions") for row in rows]
    return len(kept), sum(len(completions) for completions in kept if isinstance(completions, list))
