"""The generator of one or several tasks of reasoning-gym, at a level of their own curricula."""

from collections.abc import Mapping
from typing import Any

import reasoning_gym
from reasoning_gym.composite import DatasetSpec

from expctl.data.columns import check_task

Options = Mapping[str, Any]


def generator(
    weights: Mapping[str, float], options: Mapping[str, Options], level: int | None, seed: int, size: int
) -> Any:
    """What generates `size` questions, one at an index.

    Args:
        weights: task -> how often it is drawn, in proportion to the others.
        options: task -> fields of its own config.
        level: of each task's curriculum, from 0; None for the configs' defaults.
        seed: what is drawn follows from it.
        size: questions.

    Raises:
        ValueError: an unknown task, field or level, or a weight that is not positive.
    """
    for task, weight in weights.items():
        check_task(task, sorted(reasoning_gym.factory.DATASETS))
        if not isinstance(weight, int | float) or weight <= 0:
            raise ValueError(f"dataset.task={dict(weights)}: the weight of {task} is {weight}, and must be positive.")
    if len(weights) == 1:
        [task] = weights
        return _created(task, options.get(task, {}), level, seed=seed, size=size)
    for task in weights:
        _created(task, options.get(task, {}), level, seed=seed, size=size)  # one that is wrong is named by itself
    specs = [
        DatasetSpec(name=task, weight=weight, config=_config(task, options.get(task, {}), level))
        for task, weight in weights.items()
    ]
    return reasoning_gym.create_dataset("composite", seed=seed, size=size, datasets=specs)


def task_of(entry: Mapping[str, Any]) -> str:
    """The task that an entry is of."""
    return str(entry["metadata"]["source_dataset"])


def _created(task: str, options: Options, level: int | None, *, seed: int, size: int) -> Any:
    config = _config(task, options, level)
    try:
        return reasoning_gym.create_dataset(task, **config | {"seed": seed, "size": size})
    except (TypeError, AssertionError, ValueError) as error:
        known = sorted(vars(reasoning_gym.factory.DATASETS[task][1]()).keys() - {"seed", "size"})
        raise ValueError(
            f"dataset.options={dict(options)} do not fit task {task}: {error}\nIt takes: {', '.join(known)}."
        ) from error


def _config(task: str, options: Options, level: int | None) -> dict[str, Any]:
    """Fields of the task's config: those of a level of its curriculum, and over them the options."""
    if level is None:
        return dict(options)
    if not reasoning_gym.factory.has_curriculum(task):
        raise ValueError(f"dataset.levels: task {task} has no curriculum. Leave them out, and set dataset.options.")
    curriculum = reasoning_gym.factory.create_curriculum(task)
    highest = max((len(each.levels) for each in curriculum.attributes.values()), default=1) - 1
    if not isinstance(level, int) or not 0 <= level <= highest:
        raise ValueError(f"dataset.levels: task {task} has no level {level}; it has 0 to {highest}.")
    curriculum.set_global_level(level)
    fields = vars(curriculum.generate_configuration())
    return {name: value for name, value in fields.items() if name not in ("seed", "size")} | dict(options)
