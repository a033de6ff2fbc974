"""Titles of the metrics that people look at, among the many that a trainer logs."""

import re
from collections.abc import Iterator, Mapping

# The mean of what a reward function gives; DPO logs others of the same form.
REWARD_FUNCTION = r"rewards/(?!chosen|rejected|margins|accuracies)(\w+)/mean"
# Pattern of a logged metric (without `eval_`) -> its title. The order is that of the table.
SHOWN = (
    (REWARD_FUNCTION, r"\1"),
    # Of an evaluation with several completions a prompt.
    (r"rewards/(\w+)/(pass@\d+|majority)", r"\1, \2"),
    (r"rewards/(\w+)/more_than_half", r"\1, more than half"),
    (r"reward", "reward"),
    (r"rewards/accuracies", "chosen preferred"),
    (r"rewards/margins", "margin"),
    (r"completions/mean_length", "completion length"),
    (r"mean_token_accuracy", "token accuracy"),
    (r"loss", "loss"),
    # How far the engine that samples and the model that is trained disagree on a completion: 1 is not at all.
    (r"sampling/importance_sampling_ratio/mean", "engine ratio"),
)
LIVE = ("reward", "completion length", "loss", "token accuracy", "chosen preferred")


def named(metrics: Mapping[str, float | None], prefix: str = "") -> Iterator[tuple[str, float]]:
    """(title, value) of the metrics worth showing whose names begin with `prefix`."""
    values = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
    for pattern, title in SHOWN:
        for key, value in values.items():
            match = re.fullmatch(pattern, key)
            if match and value is not None:
                yield match.expand(title), value


def short_metrics(metrics: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """Name and rounded value of the few metrics a progress line has room for."""
    values = dict(named(metrics))
    if "completion length" in values:
        values.pop("loss", None)
    return [(name, f"{values[name]:.3g}") for name in LIVE if name in values]


def evaluation_rows(
    before: Mapping[str, float | None], after: Mapping[str, float | None]
) -> list[tuple[str, float | None, float]]:
    """Name, value before and value after, of each evaluated metric; a reward that is the only one is shown once."""
    first, last = dict(named(before, "eval_")), dict(named(after, "eval_"))
    functions = [name for name in last if "," not in name and name not in {shown for _, shown in SHOWN}]
    if "reward" in last:
        last.pop("loss", None)
        if len(functions) == 1:
            last.pop("reward")
    return [(name, first.get(name), value) for name, value in last.items()]
