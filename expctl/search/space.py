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
    fixed: list[str] = []
    space: dict[str, BaseDistribution] = {}
    for override in overrides:
        word = override.input_line
        assert word is not None, "it was typed or stands in a file"
        if not override.is_sweep_override():
            fixed.append(word)
            continue
        try:
            space[word.partition("=")[0]] = _distribution(override)
        except ValueError as error:
            raise Refusal(f"no range to search in: {error}", where=word.lstrip("+")) from error
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
        low, high, log = value.start, value.end, "log" in value.tags
        assert low is not None and high is not None, "Hydra's grammar has no interval without both"
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(value, RangeSweep) and not value.shuffle:
        values = list(value.range())
        if values and value.step > 0:
            if isinstance(values[0], int):
                return IntDistribution(values[0], values[-1], step=int(value.step))
            return FloatDistribution(values[0], values[-1], step=value.step)
    choices = override.sweep_iterator(transformer=Transformer.encode)
    return CategoricalDistribution([str(choice) for choice in choices])
