"""`expctl plan [overrides] [--json]`: the memory of a training on each device, before anything is loaded."""

import json
from dataclasses import replace

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.refuse import refuse
from expctl.config.check import check
from expctl.config.kept import planned_values
from expctl.plan import Plan, estimate
from expctl.plan.plan import GIB, usable
from expctl.plan.ways_out import WayOut, ways_out
from expctl.report.plan import as_json, print_plan

JSON = "--json"
# What need not be here for a plan: the weights, the rows, packages of rewards.
# What says how large the training and the device are, where it was typed.
SIZES = ("model", "model.path", "hardware", "hardware.memory_gib")
NOT_ASKED = ("model", "dataset", "rewards")


def main(words: list[str]) -> int:
    """Print what a training takes; 0 where it fits or nobody knows, 2 where it does not."""
    rest = [word for word in words if word != JSON]
    if is_multirun(rest):
        raise Refusal("plan takes one experiment", where="-m (command line)", do="plan the largest cell of the sweep")
    experiment = compose(rest)
    return plan(experiment, as_data=JSON in words) if experiment else EXIT_COMPLETED


def plan(experiment: Experiment, *, as_data: bool) -> int:
    """Plan one experiment and print it; an exit code."""
    named = experiment.choices.get("hardware") != "auto"
    refusals = check(replace(experiment, runs_remotely=named), leave_out=NOT_ASKED)
    if refusals:
        return refuse(refusals)
    planned = estimate(experiment, planned_values(experiment))
    ways = [] if planned.fits is not False else ways_out(planned)
    if as_data:
        print(json.dumps(as_json(planned, ways), indent=2))
    else:
        print_plan(planned)
    return EXIT_COMPLETED if planned.fits is not False else refuse(_too_small(experiment, planned, ways))


def _too_small(experiment: Experiment, planned: Plan, ways: list[WayOut]) -> list[Refusal]:
    """What the device is too small for: the training, or the engine beside it."""
    if not planned.engine_lacks:
        return [_too_large(experiment, planned, ways)]
    sampling = planned.workload.samples
    share = (sampling.engine_bytes or 0) if sampling else 0
    needed = share + planned.engine_lacks
    at_least = needed / (planned.device.memory or needed)
    return [
        Refusal(
            f"vLLM's share of {share / GIB:.1f} GiB is less than its own weights and the cache of one row take, "
            f"{needed / GIB:.1f} GiB",
            where=experiment.set_by("args.vllm_gpu_memory_utilization"),
            do=f"args.vllm_gpu_memory_utilization={at_least + 0.05:.2f} or more, or generation=transformers",
        )
    ]


def _too_large(experiment: Experiment, planned: Plan, ways: list[WayOut]) -> Refusal:
    peak, memory = planned.peak.total / GIB, usable(planned.device) / GIB
    lines = [f"{way.words}   ({_number(way)})" for way in ways]
    work = "training" if planned.workload.trains else "evaluation"
    return Refusal(
        f"this {work} takes {peak:.1f} GiB of a device ({planned.peak.moment}), and a {planned.device.name} has "
        f"{memory:.1f} GiB for it",
        where=experiment.set_by(*[key for key in SIZES if key in experiment.sources] or ["hardware"]),
        do="\n           ".join(lines) or "a larger device",
    )


def _number(way: WayOut) -> str:
    size = f"{way.plan.peak.total / GIB:.1f} GiB"
    fits = "" if way.plan.fits else ", still too much"
    return f"{size}{fits}{f'; {way.note}' if way.note else ''}"
