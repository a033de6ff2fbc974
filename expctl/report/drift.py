"""What a run that was done again did differently: circumstances first, then metrics step by step."""

from functools import partial

from expctl.report.number import rounded
from expctl.runs.drift import DriftReport, MetricDrift, circumstances, compare_metrics
from expctl.runs.files import Run
from expctl.runs.manifest import COMPLETED, read, recorded

MOST_SHOWN = 12
_number = partial(rounded, digits=6)


def print_drift(was: Run, now: Run) -> None:
    """Compare the run `was` with `now`, which did it again."""
    manifest = read(was) or recorded(was)
    print(f"\ncompared with {was.folder}")
    changed = circumstances(manifest, recorded(now))
    for label, change in changed:
        print(f"  {label:<11} {change}")
    if not changed:
        print("  the same versions, machine, environment and data")
    compared = compare_metrics(was, now)
    if manifest.status != COMPLETED:
        print(f"  the first run is {manifest.status}: only the steps that both have are compared")
    print(f"  {'metrics':<11} {verdict(compared)}")
    if compared.drifts:
        _print_table(compared.drifts)


def verdict(compared: DriftReport) -> str:
    """One line: identical, or where the difference begins and how large it becomes."""
    counted = f"{compared.steps} step{'s' if compared.steps != 1 else ''}"
    beyond = [("first run", compared.only_was), ("rerun", compared.only_now)]
    more = ", ".join(f"{count} more in the {which}" for which, count in beyond if count)
    extent = f" ({more})" if more else ""
    if not compared.metrics:
        return f"no step in both runs to compare{extent}"
    if not compared.drifts:
        return f"identical: {counted}, {compared.metrics} metrics{extent}"
    first = compared.drifts[0]
    largest = max(compared.drifts, key=lambda drift: drift.largest)
    return (
        f"differ from step {first.step} on ({first.name} {_number(first.was)} -> {_number(first.now)}), "
        f"{len(compared.drifts)} of {compared.metrics} over {counted}{extent}; "
        f"largest relative difference {_number(largest.largest)} ({largest.name} at step {largest.largest_step})"
    )


def _print_table(drifts: list[MetricDrift]) -> None:
    from rich.table import Table

    from expctl.report.screen import Screen

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("metric", "first at step", "was", "is", "largest relative", "at step"):
        table.add_column(title, justify="left" if title == "metric" else "right")
    for drift in drifts[:MOST_SHOWN]:
        largest = _number(drift.largest), str(drift.largest_step)
        table.add_row(drift.name, str(drift.step), _number(drift.was), _number(drift.now), *largest)
    console = Screen(width=120)
    console.print()
    console.print(table)
    if len(drifts) > MOST_SHOWN:
        console.print(f"and {len(drifts) - MOST_SHOWN} more metrics")
