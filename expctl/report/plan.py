"""The memory of a planned training, on the terminal and as JSON."""

from typing import TYPE_CHECKING, Any

from expctl.plan import Peak, Plan
from expctl.plan.plan import GIB, usable
from expctl.plan.ways_out import WayOut

if TYPE_CHECKING:
    from rich.table import Table

BAR = 32
# In the order in which they are shown; others follow.
PARTS = ("weights", "reference model", "optimizer", "gradients", "activations", "logits", "generation cache", "engine")
PHASES = {"training": "update", "sampling": "sampling", "evaluation": "evaluation"}


def as_json(plan: Plan, ways: list[WayOut]) -> dict[str, Any]:
    """Everything as plain data; bytes are of one device."""
    phases = plan.phases
    return {
        "training_bytes": plan.training.total if plan.workload.trains else None,
        "sampling_bytes": plan.sampling.total if plan.sampling else None,
        "evaluation_bytes": plan.evaluation.total if plan.evaluation else None,
        "peak_bytes": plan.peak.total,
        "reserved_bytes": plan.reserved,
        "parts": plan.peak.parts,
        "phases": {name: {"moment": peak.moment, "parts": peak.parts} for name, peak in phases.items()},
        "device": {"name": plan.device.name, "bytes": plan.device.memory},
        "fits": plan.fits,
        "tokens_per_step": plan.tokens_a_step if plan.workload.trains else None,
        "micro_batch": {"rows": _rows(plan), "tokens": plan.workload.length},
        "parameters": plan.workload.shape.parameters,
        "trained_parameters": plan.workload.trained,
        "assumed": list(plan.workload.assumed),
        "ways_out": [{"words": way.words, "note": way.note, "peak_bytes": way.plan.peak.total} for way in ways],
    }


def print_plan(plan: Plan) -> None:
    """Draw the parts of each phase, and say what a step has and what was assumed."""
    from expctl.report.screen import Screen

    console = Screen(width=100)
    console.print(_headline(plan), soft_wrap=True)
    console.print()
    console.print(_table(plan))
    console.print()
    for line in (*_tokens(plan), _moment(plan), *_reserved(plan), *_assumed(plan)):
        console.print(line, soft_wrap=True)
    console.print(_verdict(plan), soft_wrap=True)


def _headline(plan: Plan) -> str:
    work = plan.workload
    weights = "bfloat16" if work.precision.weights == 2 else "float32"
    computed = ", computed in two bytes" if work.precision.recast else ""
    trained = f", {_count(work.trained)} of them trained" if work.adapter else ""
    split = f" split over {work.processes} devices" if work.sharding else ""
    model = f"{_count(work.shape.parameters)} parameters in {weights}{computed}{trained}{split}"
    if not work.trains:
        return f"{model}\n{_rows(plan)} completions at a time, of {work.length} tokens with their prompts; no training"
    checkpointing = "on" if work.checkpointing else "off"
    batch = f"micro-batches of {work.rows} rows of {work.length} tokens, {work.micro_batches} a step"
    return f"{model}\n{batch}; gradient checkpointing {checkpointing}; {work.optimizer}"


def _table(plan: Plan) -> "Table":
    from rich.table import Table

    phases = plan.phases
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("GiB of a device")
    for name in phases:
        table.add_column(PHASES[name], justify="right")
    fullest = plan.peak
    table.add_column("")
    named = {part for peak in phases.values() for part in peak.parts}
    order = [part for part in PARTS if part in named] + sorted(named - set(PARTS))
    for part in order:
        cells = [_gib(peak.parts.get(part, 0)) for peak in phases.values()]
        table.add_row(part, *cells, _bar(fullest, part))
    table.add_row("peak", *(_gib(peak.total) for peak in phases.values()), style="bold")
    return table


def _bar(fullest: Peak, part: str) -> str:
    """The part's share of the fullest phase."""
    return "█" * round(BAR * fullest.parts.get(part, 0) / fullest.total)


def _rows(plan: Plan) -> int:
    """Rows that a device works on at a time."""
    evaluation = plan.workload.evaluation
    return plan.workload.rows if plan.workload.trains or evaluation is None else evaluation.rows


def _tokens(plan: Plan) -> list[str]:
    if not plan.workload.trains:
        return []
    return [f"tokens     {plan.tokens_a_step:,} a step over all devices, padding included"]


def _moment(plan: Plan) -> str:
    phase = next(PHASES[name] for name, peak in plan.phases.items() if peak is plan.peak)
    return f"fullest    {phase}: {plan.peak.moment}"


def _reserved(plan: Plan) -> list[str]:
    """What the allocator may hold, in use or not, and why."""
    if plan.reserved is None:
        return []
    held = f"reserved   up to {plan.reserved / GIB:.1f} GiB by the allocator, which gives them back before it fails"
    if not plan.samples_with_transformers:
        return [f"{held}: blocks that were freed and fit nothing else"]
    return [
        f"{held}: a cache that grows by a token leaves gaps of every size; such runs are started with "
        "PYTORCH_ALLOC_CONF=expandable_segments:True, which should leave few (not measured)"
    ]


def _assumed(plan: Plan) -> list[str]:
    return [f"assumed    {text}" for text in plan.workload.assumed]


def _verdict(plan: Plan) -> str:
    peak, name = f"{plan.peak.total / GIB:.1f} GiB", plan.device.name
    if plan.fits is None:
        return f"verdict    {peak} on a {name}; how much it has is not known here (hardware.memory_gib=80 says it)"
    memory = f"{usable(plan.device) / GIB:.1f} GiB"
    return f"verdict    {'fits' if plan.fits else 'does not fit'}: {peak} of the {memory} that a {name} has for it"


def _gib(size: int) -> str:
    if not size:
        return "-"
    return f"{size / GIB:.2f}" if size >= GIB / 100 else f"{size / GIB:.4f}"


def _count(number: int) -> str:
    if number >= 10**9:
        return f"{number / 10**9:.2f} billion"
    return f"{number / 10**6:.1f} million"
