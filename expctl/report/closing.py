"""The last words of a run: what changed, where it is, what to do next."""

import contextlib
import math
import sys

from expctl.base.metric_titles import evaluation_rows
from expctl.report.evaluation import is_evaluation, print_evaluation
from expctl.report.number import no_objective, rounded
from expctl.report.warned import alert_lines
from expctl.runs import manifest, provenance
from expctl.runs.checkpoints import complete, step_of
from expctl.runs.files import Run
from expctl.runs.records import Manifest, Summary


def print_closing(run: Run, status: str, error: str | None) -> None:
    """The table of a completed run, or why it is none and how to carry on; before it what the run warned of."""
    _print_warnings(run)
    if status == manifest.COMPLETED:
        print_summary(run)
        print_engine_advice(run)
        return
    checkpoint = max(complete(run.checkpoints), key=step_of, default=None)
    again = f"from {checkpoint.name}" if checkpoint else "from the beginning (no checkpoint yet)"
    typed = [word.lstrip("+").lower() for word in manifest.recorded(run).overrides]
    command = "the same command without force=true" if "force=true" in typed else "the same command"
    carries_on = f"{command} carries on {again}"
    if status == manifest.INTERRUPTED:
        print(f"expctl: interrupted; {carries_on}\n  run      {run.folder}", file=sys.stderr)
        return
    print(f"expctl: the run failed: {error}\n  log      {run.log}\n  then     {carries_on}", file=sys.stderr)


def print_engine_advice(run: Run) -> None:
    """Say once, at the end of a run, that its steps did little but sample."""
    from expctl.report.step_time import engine_advice
    from expctl.runs.bundle import read_config

    with contextlib.suppress(OSError, ValueError):  # somebody has taken a file away
        lines = engine_advice(run, manifest.recorded(run), read_config(run))
        print("".join(f"note: {line}\n" for line in lines), end="", file=sys.stderr)


def print_done_already(run: Run, done: Manifest) -> None:
    """An experiment that has been run: its summary, and what has changed since."""
    print(f"this experiment was completed {done.ended}; force=true runs it again")
    changed = provenance.drift(done.versions)
    if changed:
        print(f"note: it was made by other versions: {', '.join(changed)}")
    _print_warnings(run)
    print_summary(run)


def print_summary(run: Run) -> None:
    """What was evaluated before and after, and where everything lies."""
    from rich.table import Table

    from expctl.report.screen import Screen

    summary = Summary.read(run.summary) or Summary()
    if is_evaluation(run):
        print_evaluation(run, summary)
        return
    console = Screen(width=100)
    rows = evaluation_rows(summary.before, summary.after)
    if rows:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("held-out")
        for title in ("before", "after", "change"):
            table.add_column(title, justify="right")
        for name, before, after in rows:
            table.add_row(name, *_cells(before, after))
        console.print()
        console.print(table)
        console.print()
    seconds = summary.seconds.get("total") or 0.0
    console.print(f"{_objective(summary)} after {summary.steps} steps in {seconds:.0f} s", soft_wrap=True)
    console.print(f"model      {run.model}", soft_wrap=True)
    console.print(f"metrics    {run.metrics}", soft_wrap=True)


def _objective(summary: Summary) -> str:
    """`eval_reward = 0.9`, with the step where that is not the last one; or why there is none."""
    reason, name = no_objective(summary), summary.objective_name
    if reason:
        return f"no objective ({name}): {reason};"
    step = summary.objective_step
    measured = "" if step in (None, summary.steps) else f", measured at step {step},"
    return f"{name} = {rounded(summary.objective)}{measured}"


def _print_warnings(run: Run) -> None:
    recorded = manifest.recorded(run)
    for warning in [*recorded.data_changed, *recorded.warnings]:
        print(f"warning: {warning}", file=sys.stderr)
    if recorded.warnings:
        print("         expctl verify checks what still holds", file=sys.stderr)
    for alert in recorded.alerts:
        print("\n".join(alert_lines(alert)), file=sys.stderr)


def _cells(before: float | None, after: float) -> tuple[str, str, str]:
    if before is None or not math.isfinite(before) or not math.isfinite(after):
        return _cell(before), _cell(after), ""
    relative = f" ({(after - before) / abs(before):+.0%})" if before else ""
    return f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}{relative}"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if math.isfinite(value) else "not a number"
