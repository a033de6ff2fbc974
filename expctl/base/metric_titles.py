"""Which of a trainer's many metrics people look at, and what they call them."""

import re
from collections.abc import Iterator, Mapping

# Pattern of a logged metric (without `eval_`) -> how a person calls it. The order is the order of the table.
SHOWN = (
    (r"rewards/(?!chosen|rejected|margins|accuracies)(\w+)/mean", r"\1"),
    (r"reward", "reward"),
    (r"rewards/accuracies", "chosen preferred"),
    (r"rewards/margins", "margin"),
    (r"completions/mean_length", "completion length"),
    (r"mean_token_accuracy", "token accuracy"),
    (r"loss", "loss"),
)
LIVE = ("reward", "completion length", "loss", "token accuracy", "chosen preferred")


def named(metrics: Mapping[str, float], prefix: str = "") -> Iterator[tuple[str, float]]:
    """(what a person calls it, value) for the metrics worth showing."""
    for pattern, name in SHOWN:
        for key, value in metrics.items():
            if value is not None and key.startswith(prefix) and (found := re.fullmatch(pattern, key[len(prefix) :])):
                yield found.expand(name), value


def short_metrics(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """Name and rounded value of the few metrics a progress line has room for."""
    values = dict(named(metrics))
    if "completion length" in values:
        values.pop("loss", None)
    return [(name, f"{values[name]:.3g}") for name in LIVE if name in values]


def evaluation_rows(before: Mapping[str, float], after: Mapping[str, float]) -> list[tuple[str, float | None, float]]:
    """Name, value before and value after, of each evaluated metric; a reward that is the only one is shown once."""
    first, last = dict(named(before, "eval_")), dict(named(after, "eval_"))
    functions = [name for name in last if name not in {shown for _, shown in SHOWN}]
    if "reward" in last:
        last.pop("loss", None)
        if len(functions) == 1:
            last.pop("reward")
    return [(name, first.get(name), value) for name, value in last.items()]
