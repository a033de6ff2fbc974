"""`hardware.sampled_rows`: how many completions transformers samples at a time on a device.

A generation batch that the memory does not hold is sampled in turns. What is trained on is the same: only the random
numbers fall to other completions.
"""

from collections.abc import Iterator
from dataclasses import replace

from expctl.base.engine import vllm_mode
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.batch_request import AUTO, check_rows
from expctl.config.source.defaults import FieldValues
from expctl.devices import detection

KEY = "hardware.sampled_rows"
# Of a device's memory; a cache that grows leaves gaps.
SHARE = 0.9


def with_sampled_rows(experiment: Experiment) -> Experiment:
    """The experiment with a number in place of `auto`; without the key where all are sampled at once.

    Raises:
        Refusal: the key was typed and is no number of rows, or has no effect on what samples.
    """
    rows = mapping(experiment.config.get("hardware")).get("sampled_rows")
    if rows is None:
        return experiment
    typed = KEY in experiment.sources
    check_rows(experiment, KEY, rows, "samples all of a generation batch at once")
    if rows == AUTO and not typed and experiment.hardware["use_cpu"]:
        return _with(experiment, None)  # a toy as a rule, which need not be planned
    values = FieldValues(mapping(experiment.config.get("args")), experiment.code_folders)
    reason = _without_effect(experiment, values)
    if reason and typed:
        raise Refusal(f"{KEY}={rows} would do nothing: {reason}", where=experiment.set_by(KEY), do="leave it out")
    if reason:
        return _with(experiment, None)
    return _with(experiment, _fitting(experiment, values) if rows == AUTO else int(rows))


def _without_effect(experiment: Experiment, values: FieldValues) -> str:
    """Why no number of rows changes anything; empty where it does."""
    if "num_generations" not in values:
        return f"algorithm={experiment.choices.get('algorithm')} samples no completions"
    if vllm_mode(experiment.config):
        return "vLLM samples, which takes rows as its cache has room"
    if values["use_transformers_continuous_batching"]:
        return "continuous batching takes rows as its cache has room"
    return ""


def _with(experiment: Experiment, rows: int | None) -> Experiment:
    hardware = {name: value for name, value in experiment.config["hardware"].items() if name != "sampled_rows"}
    if rows is not None:
        hardware["sampled_rows"] = rows
    return replace(experiment, config=experiment.config | {"hardware": hardware})


def _fitting(experiment: Experiment, values: FieldValues) -> int | None:
    """The most rows that the device's memory holds; None where it holds all, or nobody knows its memory."""
    hardware = experiment.hardware
    is_here = not experiment.runs_remotely and (hardware["use_cpu"] or detection.visible_gpus() > 0)
    if hardware.get("memory_gib") is None and not is_here:
        return None
    from expctl.plan import estimate  # the memory model, which few experiments ask
    from expctl.plan.plan import Plan, usable

    try:
        plan = estimate(_with(experiment, None), values)
    except (Refusal, TypeError, ValueError, KeyError):
        return None  # a check, or the plan itself, names what is wrong
    if plan.device.memory is None or plan.workload.sampling is None:
        return None
    limit = SHARE * usable(plan.device)

    def held(rows: int | None) -> int:
        workload = plan.workload.sampled_in_turns(rows)
        phases = Plan(workload, plan.device).phases
        return max(phases[name].total for name in ("sampling", "evaluation") if name in phases)

    if held(None) <= limit:
        return None
    return next((rows for rows in _halves(plan.workload.sampling.rows) if held(rows) <= limit), 1)


def _halves(rows: int) -> Iterator[int]:
    """A half of the rows, a quarter, ... down to one."""
    while rows > 1:
        rows = -(-rows // 2)
        yield rows
