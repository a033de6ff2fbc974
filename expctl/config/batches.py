"""`prompts_per_step` and `hardware.rows`: the batch settings of `args` that follow from them on the hardware at hand.

A step of `prompts_per_step` prompts is the same mathematics on any number of processes: only how its rows are cut into
micro-batches differs (`expctl.config.micro_batches`). What is typed under `args` stands, and the rest follows from it.
"""

from dataclasses import replace
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.batch_request import (
    ACCUMULATION,
    AUTO,
    PER_DEVICE,
    PROMPTS,
    ROWS,
    BatchRequest,
    check_rows,
    is_count,
)
from expctl.config.micro_batches import MicroBatches


def with_batches(experiment: Experiment) -> Experiment:
    """The experiment with the batch settings that follow from `prompts_per_step`, where it has one.

    Settings that a check refuses are left to it.

    Raises:
        Refusal: the numbers do not divide, or contradict each other.
    """
    prompts, rows = experiment.config.get(PROMPTS), mapping(experiment.config.get("hardware")).get("rows")
    if prompts is None and rows is None:
        return experiment
    _check_numbers(experiment, prompts, rows)
    experiment = _without_rows(experiment)
    request = BatchRequest.of(experiment, prompts) if prompts is not None else None
    if request is None:
        return experiment
    if request.values["auto_find_batch_size"]:
        raise _shrinking(experiment)
    if request.is_void():
        return _without_prompts(experiment, request)
    cuts = request.cuts()
    if rows == AUTO and not request.typed:
        return _applied(experiment, request, _by_memory(experiment, request, cuts))
    return _applied(experiment, request, request.chosen(cuts, rows if is_count(rows) else None))


def _check_numbers(experiment: Experiment, prompts: Any, rows: Any) -> None:
    """Refuse what is no number of prompts or rows, and rows of a step that nothing describes."""
    if prompts is not None and not is_count(prompts):
        what = f"{PROMPTS} is {prompts!r}; a step has a whole number of prompts, at least 1"
        raise Refusal(what, where=experiment.set_by(PROMPTS), do=f"{PROMPTS}=null leaves the step to args")
    check_rows(experiment, ROWS, rows, "leaves it to the model's own file")
    if prompts is None and ROWS in experiment.sources:
        what = f"{ROWS}={rows} would do nothing: no {PROMPTS} says what a step has"
        do = f"{PROMPTS}=... as well, or args.{PER_DEVICE} and args.{ACCUMULATION} in its place"
        raise Refusal(what, where=experiment.set_by(ROWS), do=do)


def _by_memory(experiment: Experiment, request: BatchRequest, cuts: list[MicroBatches]) -> MicroBatches:
    """The cut that fits the memory of a device; any where a setting has a wrong type, which its check names."""
    from expctl.config.rows_by_memory import fitting  # the memory model, which few experiments ask

    try:
        return fitting(_applied(experiment, request, cuts[0]), request.values, cuts)
    except (TypeError, ValueError):
        return cuts[0]


def _without_rows(experiment: Experiment) -> Experiment:
    """The experiment without `hardware.rows`, which stands in `args` once it was read."""
    hardware = {name: value for name, value in mapping(experiment.config["hardware"]).items() if name != "rows"}
    return replace(experiment, config=experiment.config | {"hardware": hardware})


def _without_prompts(experiment: Experiment, request: BatchRequest) -> Experiment:
    """The experiment whose typed batch settings replace the `prompts_per_step` of a file, and the note that says so."""
    config = {name: value for name, value in experiment.config.items() if name != PROMPTS}
    note = (
        f"args.{PER_DEVICE} and args.{ACCUMULATION} are set, so a step has {request.typed_rows} rows "
        f"({PROMPTS} was {request.step.prompts} in a config file)"
    )
    return replace(experiment, config=config, notes=[*experiment.notes, note])


def _shrinking(experiment: Experiment) -> Refusal:
    key = "args.auto_find_batch_size"
    what = f"{key}=true trains on fewer rows a step where memory runs out, and {PROMPTS} says how many there are"
    return Refusal(what, where=experiment.set_by(key, PROMPTS), do=f"{key}=false; {ROWS}={AUTO} asks the memory before")


def _applied(experiment: Experiment, request: BatchRequest, cut: MicroBatches) -> Experiment:
    """The experiment with a cut in its `args`, and where each of these comes from."""
    derived = request.fields(cut)
    changed = {name: value for name, value in derived.items() if request.values[name] != value}
    source = request.described(cut)
    untyped = [f"args.{name}" for name in derived if f"args.{name}" not in experiment.sources]
    return replace(
        experiment,
        config=experiment.config | {"args": experiment.config["args"] | changed},
        locations=experiment.locations | dict.fromkeys(untyped, source),
        notes=[*experiment.notes, *request.notes(cut)],
    )
