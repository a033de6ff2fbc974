"""Signs in the metrics that a training learns nothing: what each looks like, and which setting to change.

A row is what was logged at a step, as it stands in `metrics.jsonl`: a number that is not finite is None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
# A share of completions beyond which a limit and not the model decides where they end.
MOST = 0.75
# Steps and groups in a row that chance does not explain.
FEW_STEPS, SOME_STEPS, MANY_STEPS, ENOUGH_GROUPS = 3, 5, 10, 10


@dataclass(frozen=True)
class Symptom:
    """One sign. `seen` says of a row whether it shows it (None: the row cannot tell).

    An alert is given when it was seen without a break in `rows` rows that stand for at least `steps` steps and `groups`
    groups; `later` times as many where it was not there from the first row on. `told` makes of the last such row, with
    the step since when it is so as `since`, and of the training's arguments what is wrong and what to do.
    """

    kind: str
    seen: Callable[[Row], bool | None]
    told: Callable[[Row, Any], tuple[str, str]]
    steps: int = 1
    groups: int = 0
    rows: int = 1
    later: int = 3


def symptoms(args: Any) -> list[Symptom]:
    """Those that a training with these arguments can show."""
    # fp16 begins with a scale that is too large on purpose, and skips the first steps.
    patience = SOME_STEPS if getattr(args, "fp16", False) else 1
    known = [
        Symptom("not_a_number", is_not_a_number, tell_of_no_number, rows=patience, later=1),
        Symptom("no_contrast", has_no_contrast, tell_of_no_contrast, FEW_STEPS, ENOUGH_GROUPS),
        Symptom("cut_off", is_cut_off, tell_of_cut_off, FEW_STEPS),
        Symptom("no_reward", has_no_reward, tell_of_no_reward, FEW_STEPS),
        Symptom("silent_reward", has_silent_reward, tell_of_silent_reward, MANY_STEPS),
        Symptom("no_gradient", has_no_gradient, tell_of_no_gradient, rows=FEW_STEPS),
        Symptom("no_margin", has_no_margin, tell_of_no_margin, SOME_STEPS),
        Symptom("no_learning_rate", has_no_learning_rate, tell_of_no_learning_rate, rows=FEW_STEPS),
    ]
    if getattr(args, "max_completion_length", 0) != 1:
        known.append(Symptom("empty", is_empty, tell_of_empty, FEW_STEPS))
    return known


def is_not_a_number(row: Row) -> bool | None:
    return any(row[name] is None for name in ("loss", "grad_norm") if name in row)


def tell_of_no_number(row: Row, args: Any) -> tuple[str, str]:
    names = [name for name in ("loss", "grad_norm") if name in row and row[name] is None]
    text = f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} not a number (NaN or infinite)"
    if row["since"] == 1 and row.get("mean_token_accuracy", 1.0) == 0.0:
        return text + ", and no token is trained on", _tokens_to_train_on(args)
    do = f"lower {_now(args, 'learning_rate')} or {_now(args, 'max_grad_norm')}; weights saved since are of no use"
    return text, do


def has_no_contrast(row: Row) -> bool | None:
    """Every group without a difference in reward, and none of them replaced by a stored one."""
    share = row.get("frac_reward_zero_std")
    return None if share is None else share == 1.0 and not row.get("replay/rescued")


def tell_of_no_contrast(row: Row, args: Any) -> tuple[str, str]:
    text = f"no group has contrast: its completions all get the same reward (mean {_number(row.get('reward'))})"
    if is_cut_off(row):
        return text, f"raise {_now(args, 'max_completion_length')}: completions are cut off before they can earn any"
    if row.get("gfpo/no_contrast_sampled", 1.0) not in (None, 1.0):
        return text + " once the filter has chosen", f"raise {_now(args, 'num_remains_in_group')}, or another filter"
    if row.get("reward_std") == 0.0:
        return text, "look at samples.jsonl: is it the reward that you mean? Are the prompts too hard, or too easy?"
    return text, f"raise {_now(args, 'num_generations')} or {_now(args, 'temperature')}, or choose other prompts"


def is_cut_off(row: Row) -> bool | None:
    share = row.get("completions/clipped_ratio")
    return None if share is None else share >= MOST


def tell_of_cut_off(row: Row, args: Any) -> tuple[str, str]:
    share = row["completions/clipped_ratio"]
    length = getattr(args, "max_completion_length", None)
    text = f"{share:.0%} of the completions are cut off at {length} tokens"
    if getattr(args, "mask_truncated_completions", False):
        text += ", and what is cut off is not trained on (args.mask_truncated_completions=true)"
    return text, f"raise {_now(args, 'max_completion_length')}, or ask for shorter answers"


def is_empty(row: Row) -> bool | None:
    length = row.get("completions/mean_length")
    return None if length is None else length <= 1.0


def tell_of_empty(row: Row, args: Any) -> tuple[str, str]:
    length = _number(row["completions/mean_length"])
    text = f"the completions are empty ({length} tokens in the mean, with the end token)"
    return text, "is the prompt in the form that the model knows (chat template, end token)? See samples.jsonl"


def has_no_reward(row: Row) -> bool | None:
    return row["reward"] is None if "reward" in row else None


def tell_of_no_reward(row: Row, args: Any) -> tuple[str, str]:
    return "no completion got a reward: every function gave None or NaN", _missing_reward(row)


def has_silent_reward(row: Row) -> bool | None:
    """One of several functions that scores nothing."""
    return bool(_silent(row)) and row["reward"] is not None if "reward" in row else None


def tell_of_silent_reward(row: Row, args: Any) -> tuple[str, str]:
    return f"the reward function {', '.join(_silent(row))} scored no completion (None or NaN)", _missing_reward(row)


def has_no_gradient(row: Row) -> bool | None:
    if has_no_contrast(row) or has_no_reward(row):
        return False  # that is why, and has its own words
    return row["grad_norm"] == 0.0 if "grad_norm" in row else None


def tell_of_no_gradient(row: Row, args: Any) -> tuple[str, str]:
    text = f"the gradient is 0 (loss {_number(row.get('loss'))}): no weight changes"
    if is_cut_off(row) and getattr(args, "mask_truncated_completions", False):
        return text, f"raise {_now(args, 'max_completion_length')}: what is cut off is not trained on"
    if row.get("mean_token_accuracy") is not None:
        return text, _tokens_to_train_on(args)
    return text, "is anything left to train on: rewards that differ, tokens that are not masked, weights not frozen?"


def has_no_margin(row: Row) -> bool | None:
    return row["rewards/margins"] == 0.0 if "rewards/margins" in row else None


def tell_of_no_margin(row: Row, args: Any) -> tuple[str, str]:
    text = "chosen and rejected completions are not told apart (rewards/margins 0)"
    return text, f"are the two the same text? Else {_now(args, 'beta')}, {_now(args, 'learning_rate')}"


def has_no_learning_rate(row: Row) -> bool | None:
    return row["learning_rate"] == 0.0 if "learning_rate" in row else None


def tell_of_no_learning_rate(row: Row, args: Any) -> tuple[str, str]:
    names = ("learning_rate", "lr_scheduler_type", "warmup_steps")
    return "the learning rate is 0: no weight changes", f"change {', '.join(_now(args, name) for name in names)}"


def _silent(row: Row) -> list[str]:
    means = [name for name in row if name.startswith("rewards/") and name.endswith("/mean")]
    return [name.split("/")[1] for name in means if row[name] is None]


def _missing_reward(row: Row) -> str:
    return f"look at reward.functions.{(_silent(row) or ['...'])[0]}: is a column that it reads there, and not empty?"


def _tokens_to_train_on(args: Any) -> str:
    return f"raise {_now(args, 'max_length')}: are prompts longer than that, or completions empty?"


def _now(args: Any, name: str) -> str:
    """A setting with its present value."""
    value = getattr(args, name, None)
    value = getattr(value, "value", value)  # of an enumeration its text
    return f"args.{name} (now {_number(value) if isinstance(value, float) else value})"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
