"""How many cells of a sweep the memory of a device bears, by what is foreseen of each."""

import json
from collections.abc import Sequence
from dataclasses import replace

from expctl.base.experiment import Experiment
from expctl.base.notice import notice_once
from expctl.base.refusal import Refusal
from expctl.config.kept import planned_values
from expctl.plan import Plan, estimate
from expctl.plan.plan import CONTEXT, GIB, usable
from expctl.plan.workload import Sampling

# What decides nothing of a cell's memory, and differs in most sweeps.
IMMATERIAL = ("seed", "name")
# Of main memory; the rest is for the libraries of each process, and for what else runs here.
SHARE = 0.9


class Memory:
    """What cells take of a device. Each kind of cell is foreseen once, whatever its seed."""

    def __init__(self) -> None:
        self._plans: dict[str, Plan | None] = {}

    def slots(self, experiment: Experiment, of: int) -> int:
        """Slots of a GPU that a cell needs where `of` cells are to share it.

        So many that the cells which then fill the GPU fit, each with an engine whose share is as much smaller.
        """
        plan = self._plan(experiment)
        if plan is None:
            return 1
        for slots in range(1, of):
            cells = of // slots
            if _bears(plan, cells):
                if cells < of:
                    _say_fewer(plan, cells, of)
                return slots
        _say_fewer(plan, 1, of)
        return of

    def bears(self, experiments: Sequence[Experiment]) -> bool:
        """Whether main memory holds such cells on the CPU side by side, as far as that is foreseen; if not, say so."""
        plans = [(plan, each.hardware["num_processes"]) for each in experiments if (plan := self._plan(each))]
        held = sum(plan.peak.total * processes for plan, processes in plans)
        limits = [plan.device.memory * processes for plan, processes in plans if plan.device.memory is not None]
        if not limits or held <= SHARE * min(limits):
            return True
        memory = f"{min(limits) / GIB:.1f} GiB of main memory"
        takes = f"{len(experiments)} cells at once would take some {held / GIB:.1f} GiB of {memory}"
        notice_once(f"{takes}: {len(experiments) - 1} at a time run")
        return False

    def _plan(self, experiment: Experiment) -> Plan | None:
        config = {key: value for key, value in experiment.config.items() if key not in IMMATERIAL}
        config["args"] = {key: value for key, value in config["args"].items() if key not in IMMATERIAL}
        key = json.dumps(config, sort_keys=True, default=str)
        if key not in self._plans:
            self._plans[key] = _foreseen(experiment)
        return self._plans[key]


def shared(plan: Plan, cells: int) -> Plan:
    """The plan of one of several cells on a device, whose engine has its share of what it would have alone."""
    work = plan.workload
    return Plan(
        replace(work, sampling=_smaller(work.sampling, cells), evaluation=_smaller(work.evaluation, cells)), plan.device
    )


def _smaller(sampling: Sampling | None, cells: int) -> Sampling | None:
    if sampling is None or not sampling.engine_bytes:
        return sampling
    return replace(sampling, engine_bytes=sampling.engine_bytes // cells)


def _say_fewer(plan: Plan, cells: int, of: int) -> None:
    takes = f"{shared(plan, cells).peak.total / GIB:.1f} GiB of the {usable(plan.device) / GIB:.1f} GiB of a GPU"
    run = "run" if cells > 1 else "runs"
    notice_once(f"cells_per_gpu={of}: a cell takes some {takes}, so {cells} at a time {run} there")


def _bears(plan: Plan, cells: int) -> bool:
    each = shared(plan, cells)
    if each.engine_lacks:
        return False
    return plan.device.memory is None or (each.peak.total + CONTEXT) * cells <= plan.device.memory


def _foreseen(experiment: Experiment) -> Plan | None:
    try:
        return estimate(experiment, planned_values(experiment))
    except Refusal:  # nothing is known of such a model
        return None
