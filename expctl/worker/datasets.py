"""The data of a `dataset` group: its own, those of the sources of a mixture, and further sets to evaluate on."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from expctl.data.parts import HELD_OUT, MIXTURE, SETS, SOURCES, under
from expctl.data.token_filter import KEY as FILTER_TOKENS


def load_data(dataset: dict[str, Any]) -> tuple[Any, Any]:
    """What is trained on, and what is evaluated: one set (or None), or several by name.

    Args:
        dataset: the resolved group, with a complete `_target_` in each of its parts.

    Raises:
        Exception: of a loader; that of a part is a ValueError whose keys are those of the part.
    """
    own = {key: value for key, value in dataset.items() if key not in (SETS, FILTER_TOKENS)}
    if own.get("_target_") == MIXTURE:
        loaded = {name: _part(f"{SOURCES}.{name}", node) for name, node in own.pop(SOURCES).items()}
        train, evaluation = instantiate(own, _partial_=True, _convert_="all")(sources=loaded)
    else:
        train, evaluation = instantiate(own, _convert_="all")
    sets = dataset.get(SETS) or {}
    if not sets:
        return train, evaluation
    named = evaluation if isinstance(evaluation, dict) else {HELD_OUT: evaluation}
    named = {name: part for name, part in named.items() if part is not None}
    return train, named | {name: _part(f"{SETS}.{name}", node)[1] for name, node in sets.items()}


def all_sets(dataset: dict[str, Any]) -> list[Any]:
    """Every set of a group, that to train on first."""
    train, evaluation = load_data(dataset)
    sets = list(evaluation.values()) if isinstance(evaluation, dict) else [evaluation]
    return [part for part in (train, *sets) if part is not None]


def _part(key: str, node: dict[str, Any]) -> tuple[Any, Any]:
    try:
        train, evaluation = instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise ValueError(under(key, str(cause))) from error
    return train, evaluation
