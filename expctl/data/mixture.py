"""Several data sets as one: rows drawn by weights, with the name of their source beside them."""

import logging
from typing import Any

from datasets import Dataset, concatenate_datasets, interleave_datasets

logger = logging.getLogger(__name__)
SOURCE = "source"


def load(
    *,
    kind: str,
    seed: int,
    sources: dict[str, Any],
    weights: dict[str, float] | None = None,
    stopping: str = "first_exhausted",
    rows: int | None = None,
    eval_by_source: bool = False,
) -> tuple[Dataset, Any]:
    """Mix the training sets of several sources, by `datasets.interleave_datasets`.

    Args:
        kind: of the rows, which each source has made already.
        seed: of the draws.
        sources: by name the two sets that its loader gives: to train on, and to evaluate on (or None).
        weights: by name how often a source is drawn, relative to the others; without them they take turns.
        stopping: `first_exhausted` ends the mixture where the first source has no row left, so that no row is there
            twice; `all_exhausted` where each row of every source was there, those of short ones several times.
        rows: how many of the mixture's first rows are trained on at most.
        eval_by_source: evaluate on each source by itself, under its name, in place of all held-out rows at once.

    Returns:
        The mixture with a column `source` (in place of one that the data have), and what is held out: one set, or
        sets by name.

    Raises:
        ValueError: a column holds different things in two sources.
    """
    named = {name: tuple(_with_source(part, name) for part in parts) for name, parts in sources.items()}
    trained_on = [train for train, _ in named.values()]
    held_out = {name: part for name, (_, part) in named.items() if part is not None}
    _check_columns({name: train for name, (train, _) in named.items()})
    probabilities = None
    if weights:
        whole = sum(weights.values())
        probabilities = [weights[name] / whole for name in sources]
    mixed = interleave_datasets(
        trained_on,
        probabilities=probabilities,
        seed=seed,
        stopping_strategy=stopping,
    )
    if rows is not None:
        mixed = mixed.select(range(min(rows, len(mixed))))
    logger.info("dataset.sources %s make %d rows", ", ".join(sources), len(mixed))
    if eval_by_source or not held_out:
        return mixed, held_out or None
    return mixed, concatenate_datasets(list(held_out.values()))


def _with_source(part: Any, name: str) -> Any:
    if part is None:
        return None
    if SOURCE in part.column_names:
        part = part.remove_columns(SOURCE)
    return part.add_column(SOURCE, [name] * len(part))


def _check_columns(parts: dict[str, Dataset]) -> None:
    """Raise ValueError where a column has types that no type holds both of."""
    seen: dict[str, tuple[str, Any]] = {}
    for name, part in parts.items():
        for column, feature in part.features.items():
            first, other = seen.setdefault(column, (name, feature))
            if other != feature and "null" not in (getattr(feature, "dtype", ""), getattr(other, "dtype", "")):
                raise ValueError(
                    f"dataset.sources.{name}: its column '{column}' holds {feature}, and that of {first} {other}; "
                    f"one of them under another name is dataset.sources.{name}.columns={{{name}_{column}: {column}}}"
                )
