"""Titles of the metrics that people look at, among the many that a trainer logs."""

import re
from collections.abc import Iterable, Iterator, Mapping

# The mean of what a reward function gives; DPO logs others of the same form.
REWARD_FUNCTION = r"rewards/(?!chosen|rejected|margins|accuracies)(\w+)/mean"
# Pattern of a logged metric (without `eval_`) -> its title. The order is that of the table.
SHOWN = (
    (REWARD_FUNCTION, r"\1"),
    # Of an evaluation with several completions a prompt.
    (r"rewards/(\w+)/(pass@\d+|majority)", r"\1, \2"),
    (r"rewards/(\w+)/more_than_half", r"\1, more than half"),
    (r"reward", "reward"),
    # Of benchmarks, over all tasks.
    (r"score", "score"),
    (r"rewards/accuracies", "chosen preferred"),
    (r"rewards/margins", "margin"),
    (r"completions/mean_length", "completion length"),
    (r"mean_token_accuracy", "token accuracy"),
    (r"loss", "loss"),
    # How far the engine that samples and the model that is trained disagree on a completion: 1 is not at all.
    (r"sampling/importance_sampling_ratio/mean", "engine ratio"),
)
LIVE = ("reward", "completion length", "loss", "token accuracy", "chosen preferred")


def named(
    metrics: Mapping[str, float | None], prefix: str = "", sets: Iterable[str] | None = None
) -> Iterator[tuple[str, float]]:
    """(title, value) of the metrics worth showing whose names begin with `prefix`, those of an evaluation set together.

    `sets`: the names of evaluation sets; None for those that `metrics` have.
    """
    values = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
    for name in ("", *(sets_in(metrics) if sets is None else sets)):
        before, after = (f"{name}_", f" of {name}") if name else ("", "")
        for pattern, title in SHOWN:
            for key, value in values.items():
                match = re.fullmatch(pattern, key.removeprefix(before)) if key.startswith(before) else None
                if match and value is not None:
                    yield match.expand(title) + after, value


def sets_in(metrics: Iterable[str]) -> list[str]:
    """The names of the evaluation sets that metrics are of; none where there is one set.

    Each has its time, or as a benchmark the number of its questions.
    """
    found = (re.fullmatch(r"eval_(\w+)_(?:runtime|questions)", key) for key in metrics)
    return [match[1] for match in found if match]


def of_set(metric: str, sets: Iterable[str]) -> tuple[str, str]:
    """A metric of an evaluation as (name of the set, the metric without it): `eval_hard_reward`, `eval_reward`."""
    for name in sorted(sets, key=len, reverse=True):
        if metric.startswith(f"eval_{name}_"):
            return name, f"eval_{metric.removeprefix(f'eval_{name}_')}"
    return "", metric


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
    plain = {shown for _, shown in SHOWN}
    for of in ("", *(f" of {name}" for name in sets_in(after))):
        own = [name.removesuffix(of) for name in last if name.endswith(of) and (of or " of " not in name)]
        functions = [name for name in own if "," not in name and name not in plain]
        if "reward" in own:
            last.pop(f"loss{of}", None)
            if len(functions) == 1:
                last.pop(f"reward{of}")
    return [(name, first.get(name), value) for name, value in last.items()]
