"""Batch sizes, groups of completions and processes, which have to divide each other (GRPO and what builds on it)."""

import math

from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.checks.trainer_parts import is_rewarded
from expctl.config.micro_batches import Step
from expctl.config.source.defaults import FieldValues


def check_batch_sizes(experiment: Experiment) -> list[Refusal]:
    """Refuse groups that do not fill a batch, in training and in evaluation."""
    values = FieldValues(experiment.config["args"], experiment.code_folders)
    if "num_generations" not in values:
        return []
    world = experiment.hardware["num_processes"] * experiment.hardware["num_machines"]
    if not trains(experiment.config):
        return _check_evaluation_batch(values, 1, world, experiment)
    generations = values["num_generations"]
    if generations == 1 and not is_rewarded(experiment):
        return []  # of distillation: nothing is compared inside of a group
    if generations < 2:
        return [
            Refusal(
                f"num_generations is {generations}; an advantage needs a group of at least 2 completions",
                where=experiment.set_by("args.num_generations"),
            )
        ]
    refusals = _check_generation_batch(values, generations, world, experiment)
    return refusals + _check_evaluation_batch(values, generations, world, experiment)


def _check_generation_batch(values: FieldValues, generations: int, world: int, experiment: Experiment) -> list[Refusal]:
    rows = values["per_device_train_batch_size"]
    batch, steps = values["generation_batch_size"], values["steps_per_generation"]
    if batch is not None and steps is not None:
        return [
            Refusal(
                "args.generation_batch_size and args.steps_per_generation are both set; one follows from the other",
                where=experiment.set_by("args.steps_per_generation"),
                do="set one of them to null",
            )
        ]
    if batch is not None and batch % (rows * world):
        return [
            Refusal(
                f"generation_batch_size = {batch} is no multiple of {rows} rows x {world} processes = {rows * world}",
                where=experiment.set_by("args.generation_batch_size"),
            )
        ]
    shown = f"generation_batch_size = {batch}"
    if batch is None:
        steps = steps or values["gradient_accumulation_steps"] or 1
        batch = rows * world * steps
        shown = f"{rows} rows a device x {_processes(world)} x {steps} steps a generation = {batch}"
    if batch % generations == 0:
        return []
    # Rows a device in steps of which the batch holds whole groups.
    unit = generations // math.gcd(generations, world * (steps or 1))
    below, above = rows - rows % unit, rows - rows % unit + unit
    sizes = " or ".join(str(size) for size in (below, above) if size > 0)
    in_a_step = rows * world * (values["gradient_accumulation_steps"] or 1)
    prompts = Step(max(in_a_step // generations, 1), generations, world=world).prompts_that_divide()[0]
    return [
        Refusal(
            f"groups of {generations} completions do not fill the batch: {shown}, and {batch} / {generations} "
            f"= {batch / generations:.2f} groups",
            where=experiment.set_by("args.per_device_train_batch_size", "args.num_generations"),
            do=f"args.per_device_train_batch_size={sizes}, or prompts_per_step={prompts} in its place",
        )
    ]


def _check_evaluation_batch(values: FieldValues, generations: int, world: int, experiment: Experiment) -> list[Refusal]:
    group = values["num_generations_eval"] or generations
    rows = (values["per_device_eval_batch_size"] or 8) * world
    if rows % group == 0 or not (values["do_eval"] or not trains(experiment.config)):
        return []
    return [
        Refusal(
            f"evaluation: groups of {group} completions do not fill a batch of {rows} rows "
            f"({rows // world} a device x {_processes(world)})",
            where=experiment.set_by("args.num_generations_eval", "args.per_device_eval_batch_size"),
            do=f"args.per_device_eval_batch_size={_multiple(rows // world, group)}, or args.num_generations_eval=1",
        )
    ]


def _multiple(rows: int, group: int) -> int:
    """The largest multiple of a group up to a number of rows; the group itself where that is larger."""
    return max(group, rows - rows % group)


def _processes(world: int) -> str:
    return f"{world} process{'es' if world > 1 else ''}"
