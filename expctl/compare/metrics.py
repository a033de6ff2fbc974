"""Which metrics are compared, what people call them, and which way they are good."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from expctl.base.metric_titles import SHOWN
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record

TRAINING_SECONDS = "seconds.training"
# Prefix of what the last logged training step says, where nothing was held out.
TRAIN = "train."
# Which way a metric is good where the config does not say (without `eval_`).
HIGHER = re.compile(r"reward|rewards/(?!chosen|rejected)[^/]+(/mean)?|mean_token_accuracy|\w*accuracy")
LOWER = re.compile(r"\w*loss|perplexity")
TOKENS = re.compile(r"completions/\w+_length|num_tokens")
# On a ratio scale, where a percentage of a value says something; that of an accuracy would be taken for its points.
RATIO = re.compile(rf"{TOKENS.pattern}|{LOWER.pattern}|entropy|grad_norm|seconds\.\w+")


def chosen(groups: Sequence[Grouped], asked: Sequence[str], option: str = "--metric") -> list[str]:
    """The metrics to compare: those asked for, else the objective, what else was evaluated, and the time of training.

    Raises:
        Refusal: no run has a metric that was asked for.
    """
    if not asked:
        return _default(groups)
    known = sorted({name for one in groups for record in one.records for name in names(record)})
    found: dict[str, None] = {}
    for word in asked:
        those = [name for name in known if fnmatchcase(name, word)] or [
            name for name in (f"eval_{word}", f"eval_rewards/{word}/mean", f"{TRAIN}{word}", f"seconds.{word}")
            if name in known
        ][:1] or [name for name in known if title(name, groups) == word][:1]  # fmt: skip
        if not those:
            raise Refusal(
                f"no run here has the metric '{word}'",
                where=f"{option} {word} (command line)",
                nearest=nearest(word, [*known, *(name.removeprefix("eval_") for name in known)])[:4] or known[:8],
            )
        found |= dict.fromkeys(those)
    return list(found)


def names(record: Record) -> list[str]:
    """Everything a run was measured in."""
    return [
        *record.after,
        *(f"{TRAIN}{name}" for name in record.train),
        *(f"seconds.{name}" for name in record.seconds),
    ]


def value_of(record: Record, name: str) -> float | None:
    """A run's value; None where it is missing or was no finite number."""
    if name.startswith(TRAIN):
        return record.train.get(name.removeprefix(TRAIN))
    if name.startswith("seconds."):
        return record.seconds.get(name.removeprefix("seconds."))
    return record.after.get(name)


def title(name: str, groups: Sequence[Grouped]) -> str:
    """What a person calls a metric; the reward is called after its function where there is only one."""
    if name == TRAINING_SECONDS:
        return "seconds of training"
    if name.startswith(TRAIN):
        return f"{title(name.removeprefix(TRAIN), groups)} in training"
    if name == "eval_reward" and (functions := _whole_reward(groups)):
        return _function(functions[0])
    plain = name.removeprefix("eval_")
    return next((found.expand(said) for pattern, said in SHOWN if (found := re.fullmatch(pattern, plain))), plain)


def direction(name: str, groups: Sequence[Grouped]) -> str | None:
    """`higher` or `lower`, whichever is better, by the config's objective or the name; None where it is not known."""
    plain = _plain(name)
    told = {record.direction for one in groups for record in one.records
            if record.objective and record.objective.removeprefix("eval_") == plain}  # fmt: skip
    if told in ({"maximize"}, {"minimize"}):
        return "higher" if told == {"maximize"} else "lower"
    return "higher" if HIGHER.fullmatch(plain) else "lower" if LOWER.fullmatch(plain) else None


def unit(name: str) -> str | None:
    """The word for what a metric counts; None where it has none."""
    return "tokens" if TOKENS.fullmatch(_plain(name)) else None


def has_ratio_scale(name: str) -> bool:
    """Whether it has a zero that means none, by its name."""
    return RATIO.fullmatch(_plain(name)) is not None


def is_judged(name: str) -> bool:
    """Times are for information: a busy machine decides them."""
    return not name.startswith("seconds.") and re.search(r"runtime|_per_second|_time$", name) is None


def _plain(name: str) -> str:
    return name.removeprefix(TRAIN).removeprefix("eval_")


def _default(groups: Sequence[Grouped]) -> list[str]:
    everywhere = [_evaluated(one) for one in groups]
    common = set.intersection(*everywhere) if everywhere else set()
    objectives = dict.fromkeys(record.objective for one in groups for record in one.records if record.objective)
    found = dict.fromkeys(name for name in objectives if name in common)
    for pattern, _ in SHOWN:
        found |= dict.fromkeys(sorted(
            name for name in common if name.startswith("eval_") and re.fullmatch(pattern, name.removeprefix("eval_"))
        ))  # fmt: skip
    if "eval_reward" in found:
        found.pop("eval_loss", None)
        for name in _whole_reward(groups):
            found.pop(name, None)
    if not found:
        trained = [f"{TRAIN}{name.removeprefix('eval_')}" for name in objectives]
        found = {name: None for name in trained if all(_any_has(one, name) for one in groups)}
    return [*found, *([TRAINING_SECONDS] if all(_any_has(one, TRAINING_SECONDS) for one in groups) else [])]


def _evaluated(one: Grouped) -> set[str]:
    return {name for record in one.records for name in record.after}


def _any_has(one: Grouped, name: str) -> bool:
    return any(value_of(record, name) is not None for record in one.records)


def _function(name: str) -> str | None:
    found = re.fullmatch(r"eval_rewards/(?!chosen|rejected|margins|accuracies)(\w+)/mean", name)
    return found[1] if found else None


def _whole_reward(groups: Sequence[Grouped]) -> list[str]:
    """The reward function that is the reward in every run, if there is one (others may have no weight): it need not be
    shown twice, nor be one more comparison to correct for."""
    functions = sorted({name for one in groups for name in _evaluated(one) if _function(name)})
    records = [record for one in groups for record in one.records]
    if len({_rewarded(record) for record in records}) > 1:
        return []
    same = [name for name in functions
            if all(record.after.get(name) == record.after.get("eval_reward") for record in records)]  # fmt: skip
    return same[:1]


def _rewarded(record: Record) -> str:
    return str({key: value for key, value in record.config.items() if key.startswith("reward.")})
