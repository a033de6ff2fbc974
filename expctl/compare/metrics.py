"""Which metrics are compared, what people call them, and which way they are good."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from expctl.base.metric_titles import REWARD_FUNCTION, SHOWN, of_set, sets_in
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record
from expctl.runs.drift import is_timed
from expctl.runs.phases import PHASES, SAMPLING, UPDATE

TRAINING_SECONDS = "seconds.training"
# The phases that are compared unasked.
PHASE_SECONDS = tuple(f"seconds.{phase}" for phase in (SAMPLING, UPDATE))
RATE = "tokens_per_second."
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
    known = sorted({name for group in groups for record in group.records for name in names(record)})
    chosen_names: dict[str, None] = {}
    for word in asked:
        matches = _matches(word, known, groups)
        if not matches:
            raise Refusal(
                f"no run here has the metric '{word}'",
                where=f"{option} {word} (command line)",
                nearest=nearest(word, [*known, *(name.removeprefix("eval_") for name in known)])[:4] or known[:8],
            )
        chosen_names |= dict.fromkeys(matches)
    return list(chosen_names)


def _matches(word: str, known: Sequence[str], groups: Sequence[Grouped]) -> list[str]:
    """All metrics that a pattern fits, else the one that a word stands for, in short or as people call it."""
    fitting = [name for name in known if fnmatchcase(name, word)]
    if fitting:
        return fitting
    in_full = (f"eval_{word}", f"eval_rewards/{word}/mean", f"{TRAIN}{word}", f"seconds.{word}")
    short = [name for name in in_full if name in known]
    return short[:1] or [name for name in known if title(name, groups) == word][:1]


def names(record: Record) -> list[str]:
    """Everything a run was measured in."""
    return [
        *record.after,
        *(f"{TRAIN}{name}" for name in record.train),
        *(f"seconds.{name}" for name in record.seconds),
        *(f"{RATE}{name}" for name in record.tokens_per_second),
    ]


def value_of(record: Record, name: str) -> float | None:
    """A run's value; None where it is missing or was no finite number."""
    if name.startswith(TRAIN):
        return record.train.get(name.removeprefix(TRAIN))
    if name.startswith("seconds."):
        return record.seconds.get(name.removeprefix("seconds."))
    if name.startswith(RATE):
        return record.tokens_per_second.get(name.removeprefix(RATE))
    return record.after.get(name)


def title(name: str, groups: Sequence[Grouped]) -> str:
    """What a person calls a metric; the reward is called after its function where there is only one."""
    if name == TRAINING_SECONDS:
        return "seconds of training"
    for prefix, what in (("seconds.", "seconds of"), (RATE, "tokens a second,")):
        if name.startswith(prefix) and name.removeprefix(prefix) in PHASES:
            return f"{what} {PHASES[name.removeprefix(prefix)]}"
    if name.startswith(TRAIN):
        return f"{title(name.removeprefix(TRAIN), groups)} in training"
    whole = _whole_reward(groups) if name == "eval_reward" else None
    if whole:
        return _function(whole) or whole
    of, whole_name = of_set(name, _sets(groups))
    plain = whole_name.removeprefix("eval_")
    for pattern, shown in SHOWN:
        match = re.fullmatch(pattern, plain)
        if match:
            return match.expand(shown) + (f" of {of}" if of else "")
    return name.removeprefix("eval_")


def direction(name: str, groups: Sequence[Grouped]) -> str | None:
    """`higher` or `lower`, whichever is better, by the config's objective or the name; None where it is not known."""
    sets = _sets(groups)
    plain = _plain(of_set(name, sets)[1])
    records = [record for group in groups for record in group.records]
    directions = {record.direction for record in records if _plain(of_set(record.objective or "", sets)[1]) == plain}
    if directions == {"maximize"}:
        return "higher"
    if directions == {"minimize"}:
        return "lower"
    if HIGHER.fullmatch(plain):
        return "higher"
    return "lower" if LOWER.fullmatch(plain) else None


def unit(name: str) -> str | None:
    """The word for what a metric counts; None where it has none."""
    return "tokens" if TOKENS.fullmatch(_plain(name)) else None


def has_ratio_scale(name: str) -> bool:
    """Whether it has a zero that means none, by its name."""
    return RATIO.fullmatch(_plain(name)) is not None


def is_judged(name: str) -> bool:
    """Times are for information: a busy machine decides them."""
    return not name.startswith(("seconds.", RATE)) and not is_timed(name)


def _plain(name: str) -> str:
    return name.removeprefix(TRAIN).removeprefix("eval_")


def _default(groups: Sequence[Grouped]) -> list[str]:
    common = set.intersection(*map(_evaluated, groups)) if groups else set()
    objectives = dict.fromkeys(record.objective for group in groups for record in group.records if record.objective)
    shown = dict.fromkeys(name for name in objectives if name in common)
    evaluated = sorted(name for name in common if name.startswith("eval_"))
    sets = _sets(groups)
    for pattern, _ in SHOWN:
        shown |= dict.fromkeys(name for name in evaluated if re.fullmatch(pattern, _plain(of_set(name, sets)[1])))
    if "eval_reward" in shown:
        shown.pop("eval_loss", None)
        shown.pop(_whole_reward(groups) or "", None)
    if not shown:
        trained = [f"{TRAIN}{name.removeprefix('eval_')}" for name in objectives]
        shown = dict.fromkeys(name for name in trained if all(_has(group, name) for group in groups))
    if all(_has(group, TRAINING_SECONDS) for group in groups):
        shown[TRAINING_SECONDS] = None
    shown |= dict.fromkeys(name for name in PHASE_SECONDS if all(_has(group, name) for group in groups))
    return list(shown)


def _sets(groups: Sequence[Grouped]) -> list[str]:
    """The names of the evaluation sets of any run."""
    return sets_in({name: None for group in groups for name in _evaluated(group)})


def _evaluated(group: Grouped) -> set[str]:
    return {name for record in group.records for name in record.after}


def _has(group: Grouped, name: str) -> bool:
    """Whether any of a group's runs has a number there."""
    return any(value_of(record, name) is not None for record in group.records)


def _function(name: str) -> str | None:
    match = re.fullmatch(f"eval_{REWARD_FUNCTION}", name)
    return match[1] if match else None


def _whole_reward(groups: Sequence[Grouped]) -> str | None:
    """The metric of the reward function that is the reward in every run, if there is one (others may have no weight).

    It need not be shown twice, nor be one more comparison to correct for.
    """
    records = [record for group in groups for record in group.records]
    if len({_rewarded(record) for record in records}) > 1:
        return None
    for name in sorted({name for group in groups for name in _evaluated(group) if _function(name)}):
        if all(record.after.get(name) == record.after.get("eval_reward") for record in records):
            return name
    return None


def _rewarded(record: Record) -> str:
    return str({key: value for key, value in record.config.items() if key.startswith("reward.")})
