"""What a search may try: Hydra's words for ranges and choices as Optuna's distributions."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer

from expctl.base.refusal import Refusal

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

EXAMPLE = "'args.learning_rate=tag(log, interval(1e-5, 1e-3))'"


def split(overrides: Iterable[Override]) -> tuple[list[str], dict[str, "BaseDistribution"]]:
    """The words that every trial has, and key -> distribution of what is searched.

    `interval(low, high)` is continuous, `int(interval(low, high))` has whole numbers, `tag(log, ...)` around either
    searches orders of magnitude; `range(first, end, step)` has the values of a grid; a list of values is a choice.

    Raises:
        Refusal: nothing is searched, or a range is none.
    """
    fixed, space = [], {}
    for override in overrides:
        if not override.is_sweep_override():
            fixed.append(override.input_line)
            continue
        try:
            space[override.input_line.partition("=")[0]] = _distribution(override)
        except ValueError as error:
            raise Refusal(f"no range to search in: {error}", where=override.input_line.lstrip("+")) from error
    if not space:
        raise Refusal("nothing is searched: no key has a range or a choice", do=f"give one: {EXAMPLE}")
    return fixed, space


def word(key: str, value: Any) -> str:
    """The override for a sampled value. Four digits of a number say enough, and can be read."""
    return f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        kind = IntDistribution if isinstance(value.start, int) and isinstance(value.end, int) else FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)
    if isinstance(value, RangeSweep) and not value.shuffle:
        values = list(value.range())
        if values and value.step > 0:
            kind = IntDistribution if isinstance(values[0], int) else FloatDistribution
            return kind(values[0], values[-1], step=value.step)
    return CategoricalDistribution([str(one) for one in override.sweep_iterator(transformer=Transformer.encode)])
