"""`hardware.rows=auto`: as many rows of the update as the memory of a device holds, and no more than keep it busy."""

from dataclasses import replace

from expctl.base.data_kinds import PREFERENCE
from expctl.base.experiment import Experiment
from expctl.base.plain_data import at
from expctl.base.refusal import Refusal
from expctl.base.words import counted
from expctl.config.micro_batches import MicroBatches
from expctl.config.source.defaults import FieldValues
from expctl.plan import Plan, estimate
from expctl.plan.plan import GIB, usable

ROWS, MEMORY = "hardware.rows", "hardware.memory_gib"
# Parameters x tokens of a micro-batch from which on more rows save no time. Measured on an H200 for 0.6 billion
# parameters: 12,000 tokens; a CPU of a few cores is busy with far fewer.
FULL = {"GPU": 12_000 * 0.6e9, "CPU": 2_048 * 0.135e9}
# Of a device's memory; the allocator holds more than is in use at a time.
SHARE = 0.9


def fitting(experiment: Experiment, values: FieldValues, cuts: list[MicroBatches]) -> MicroBatches:
    """The smallest cut that keeps the device busy, else the largest of those that fit.

    Args:
        experiment: composed, with the batch of any of the cuts.
        values: its `args` with their defaults.
        cuts: of its step, the largest micro-batches first.

    Raises:
        Refusal: the memory of the device is unknown, or too small for the smallest of the cuts.
    """
    if experiment.runs_remotely and at(experiment.config, *MEMORY.split(".")) is None:
        raise _unknown(experiment, "this cell runs on a machine that cannot be asked")
    plan = estimate(experiment, values)
    if plan.device.memory is None:
        raise _unknown(experiment, f"the memory of a {plan.device.name} is not known here")
    limit = SHARE * usable(plan.device)
    # A pair is a sequence of the chosen and one of the rejected completion.
    sequences = 2 if at(experiment.config, "algorithm", "kind") == PREFERENCE else 1
    held = [_with_rows(plan, cut, sequences).training.total for cut in cuts]
    fits = [cut for cut, size in zip(cuts, held, strict=True) if size <= limit]
    if not fits:
        raise _too_small(experiment, cuts[-1], held[-1], plan.device.memory)
    busy = FULL[plan.device.name] / (plan.workload.shape.parameters * plan.workload.length * sequences)
    enough = [cut for cut in fits if cut.kept >= busy]
    return enough[-1] if enough else fits[0]


def _with_rows(plan: Plan, cut: MicroBatches, sequences: int) -> Plan:
    """The plan of the same experiment whose step is cut so."""
    workload = replace(plan.workload, rows=cut.kept * sequences, micro_batches=cut.accumulation)
    return Plan(workload, plan.device)


def _unknown(experiment: Experiment, why: str) -> Refusal:
    do = f"{MEMORY}=80 (what a device there has), or a number of rows in place of auto"
    return Refusal(f"{ROWS}=auto asks the memory of a device, and {why}", where=experiment.set_by(ROWS), do=do)


def _too_small(experiment: Experiment, cut: MicroBatches, held: int, memory: int) -> Refusal:
    rows = counted(cut.kept, "row")
    what = f"the update of {rows} takes some {held / GIB:.1f} GiB, and a device has {memory / GIB:.1f} GiB"
    do = "expctl plan says what takes it; peft=lora, args.gradient_checkpointing=true or hardware.sharding take less"
    return Refusal(f"{ROWS}=auto: {what}", where=experiment.set_by(ROWS, MEMORY), do=do)
