"""Batch sizes, groups and processes have to divide; say the arithmetic before a trainer's constructor does."""

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal, set_by
from expctl.config.source.defaults import FieldValues


def check_batches(experiment: Experiment) -> list[Refusal]:
    """Refuse group arithmetic that cannot work (GRPO and what is built on it)."""
    values = FieldValues(experiment.config["args"], experiment.code_folders)
    if "num_generations" not in values:
        return []
    found = []
    generations = values["num_generations"]
    world = experiment.config["hardware"]["num_processes"] * experiment.config["hardware"]["num_machines"]
    if generations < 2:
        found.append(
            Refusal(
                f"num_generations is {generations}; an advantage needs a group of at least 2 completions",
                where=set_by("args.num_generations", experiment.sources),
            )
        )
        return found
    found += _check_generation_batch(values, generations, world, experiment)
    return found + _check_evaluation_batch(values, generations, world, experiment)


def _check_generation_batch(values: FieldValues, generations: int, world: int, experiment: Experiment) -> list[Refusal]:
    rows = values["per_device_train_batch_size"]
    batch, steps = values["generation_batch_size"], values["steps_per_generation"]
    if batch is not None and steps is not None:
        return [
            Refusal(
                "args.generation_batch_size and args.steps_per_generation are both set; one follows from the other",
                where=set_by("args.steps_per_generation", experiment.sources),
                do="set one of them to null",
            )
        ]
    if batch is not None:
        shown = f"generation_batch_size = {batch}"
        if batch % (rows * world):
            return [
                Refusal(
                    f"{shown} is no multiple of {rows} rows x {world} processes = {rows * world}",
                    where=set_by("args.generation_batch_size", experiment.sources),
                )
            ]
    else:
        steps = steps or values["gradient_accumulation_steps"] or 1
        batch = rows * world * steps
        shown = (
            f"{rows} rows a device x {world} process{'es' if world > 1 else ''} x {steps} steps a generation = {batch}"
        )
    if batch % generations == 0:
        return []
    unit = next(n for n in range(1, generations + 1) if n * world * (steps or 1) % generations == 0)
    below, above = rows - rows % unit, rows - rows % unit + unit
    return [
        Refusal(
            f"groups of {generations} completions do not fill the batch: {shown}, and {batch} / {generations} "
            f"= {batch / generations:.2f} groups",
            where=set_by("args.per_device_train_batch_size", experiment.sources)
            + ", "
            + set_by("args.num_generations", experiment.sources),
            do="args.per_device_train_batch_size=" + " or ".join(str(n) for n in (below, above) if n > 0),
        )
    ]


def _check_evaluation_batch(values: FieldValues, generations: int, world: int, experiment: Experiment) -> list[Refusal]:
    group = values["num_generations_eval"] or generations
    rows = (values["per_device_eval_batch_size"] or 8) * world
    if not values["do_eval"] or rows % group == 0:
        return []
    return [
        Refusal(
            f"evaluation: groups of {group} completions do not fill a batch of {rows} rows "
            f"({rows // world} a device x {world} process{'es' if world > 1 else ''})",
            where=set_by("args.per_device_eval_batch_size", experiment.sources),
            do=f"args.per_device_eval_batch_size={group} or a multiple of it, or args.num_generations_eval=1",
        )
    ]
