"""Where a run's steps spent their time, and which engine would help where sampling takes nearly all of it."""

from typing import Any

from expctl.base.plain_data import at
from expctl.report.number import rounded
from expctl.runs.files import Run, read_metrics
from expctl.runs.phases import PHASES, SAMPLING, PhaseTimes, times_in
from expctl.runs.records import Manifest, Summary

# A larger share of the steps' time than this and nothing else is worth a change.
MOST_SAMPLING = 0.9
# What was sampled where, and how many times as many tokens a second vLLM gave; the numbers of docs/generation.md.
MEASURED = (
    ("Qwen3-0.6B on an H200, 16 completions at once", 8718 / 505),
    ("Qwen3-0.6B on an H200, 128 completions at once", 30389 / 4155),
)


def times_of(run: Run) -> PhaseTimes:
    """The time of the steps by phase, of a completed run by its summary, else by the rows that it has so far."""
    summary = Summary.read(run.summary)
    seconds = {phase: summary.seconds.get(phase) for phase in PHASES} if summary else {}
    known = {phase: value for phase, value in seconds.items() if value is not None}
    if summary is None or not known:
        return times_in(read_metrics(run.metrics))
    rates = {phase: rate for phase, rate in summary.tokens_per_second.items() if rate is not None}
    return PhaseTimes(known, {phase: rate * known.get(phase, 0.0) for phase, rate in rates.items()})


def time_lines(times: PhaseTimes) -> list[str]:
    """A line a phase that took any time: its seconds, its share, tokens a second where they are counted."""
    total = sum(times.seconds.values())
    lines = []
    for phase, title in PHASES.items():
        seconds, rate = times.seconds.get(phase, 0.0), times.tokens_per_second.get(phase)
        if total and seconds >= total / 1000:
            tokens = f"  {rate:,.0f} tokens/s" if rate else ""
            lines.append(f"  {title:<20} {rounded(seconds, 3):>8} s  {seconds / total:>4.0%}{tokens}")
    return lines


def engine_advice(run: Run, recorded: Manifest, config: dict[str, Any]) -> list[str]:
    """What to say of a run whose steps do little but sample; nothing where an engine samples already, or of a toy."""
    times = times_of(run)
    total = sum(times.seconds.values())
    share = times.seconds.get(SAMPLING, 0.0) / total if total else 0.0
    if share <= MOST_SAMPLING or at(config, "args", "use_vllm") or recorded.choices.get("model") == "tiny":
        return []
    measured = "; ".join(f"{what}: {ratio:.0f} times the tokens a second" for what, ratio in MEASURED)
    return [
        f"sampling took {share:.0%} of the steps' time; generation=vllm has an engine for it (docs/generation.md)",
        f"measured, no promise for this machine: {measured}",
    ]
