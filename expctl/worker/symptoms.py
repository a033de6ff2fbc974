"""Symptoms of a training that learns nothing: what each looks like in the metrics, and which setting to change.

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
    """One sign of a training that learns nothing.

    An alert is given when `rows` consecutive rows show it that stand for at least `steps` steps and `groups` groups.

    Args:
        kind: name of the symptom, as `run.json` has it.
        is_present: whether a row shows it; None where the row cannot tell.
        describe: from the last row, with the first step of the symptom as `since`, and the trainer's arguments: what is
            wrong, and what to do.
        steps: optimizer steps that it has to last.
        groups: groups that have to be sampled meanwhile.
        rows: logged rows that have to show it.
        later: factor on these three for a symptom that was absent in an earlier row.
    """

    kind: str
    is_present: Callable[[Row], bool | None]
    describe: Callable[[Row, Any], tuple[str, str]]
    steps: int = 1
    groups: int = 0
    rows: int = 1
    later: int = 3


def symptoms(args: Any) -> list[Symptom]:
    """The symptoms that a training with these arguments can show."""
    # fp16 begins with a scale that is too large on purpose, and skips the first steps.
    patience = SOME_STEPS if getattr(args, "fp16", False) else 1
    known = [
        Symptom("not_a_number", is_not_a_number, _describe_not_a_number, rows=patience, later=1),
        Symptom("no_contrast", has_no_contrast, _describe_no_contrast, FEW_STEPS, ENOUGH_GROUPS),
        Symptom("cut_off", is_cut_off, _describe_cut_off, FEW_STEPS),
        Symptom("no_reward", has_no_reward, _describe_no_reward, FEW_STEPS),
        Symptom("missing_reward", has_missing_reward, _describe_missing_reward, later=1),
        Symptom("silent_reward", has_silent_reward, _describe_silent_reward, MANY_STEPS),
        Symptom("no_gradient", has_no_gradient, _describe_no_gradient, rows=FEW_STEPS),
        Symptom("no_margin", has_no_margin, _describe_no_margin, SOME_STEPS),
        Symptom("no_learning_rate", has_no_learning_rate, _describe_no_learning_rate, rows=FEW_STEPS),
    ]
    if getattr(args, "max_completion_length", 0) != 1:
        known.append(Symptom("empty", is_empty, _describe_empty, FEW_STEPS))
    return known


def is_not_a_number(row: Row) -> bool | None:
    """Whether the loss or the gradient norm is NaN or infinite."""
    return any(row[name] is None for name in ("loss", "grad_norm") if name in row)


def _describe_not_a_number(row: Row, args: Any) -> tuple[str, str]:
    names = [name for name in ("loss", "grad_norm") if name in row and row[name] is None]
    verb = "are" if len(names) > 1 else "is"
    text = f"{' and '.join(names)} {verb} not a number (NaN or infinite)"
    if row["since"] == 1 and row.get("mean_token_accuracy", 1.0) == 0.0:
        return text + ", and no token is trained on", _tokens_to_train_on(args)
    settings = f"{_setting(args, 'learning_rate')} or {_setting(args, 'max_grad_norm')}"
    return text, f"lower {settings}; weights saved since are of no use"


def has_no_contrast(row: Row) -> bool | None:
    """Whether no group has a difference in reward, and none was replaced by a stored one."""
    share = row.get("frac_reward_zero_std")
    return None if share is None else share == 1.0 and not row.get("replay/rescued")


def _describe_no_contrast(row: Row, args: Any) -> tuple[str, str]:
    text = f"no group has contrast: its completions all get the same reward (mean {_number(row.get('reward'))})"
    if is_cut_off(row):
        limit = _setting(args, "max_completion_length")
        return text, f"raise {limit}: completions are cut off before they can earn any"
    if row.get("gfpo/no_contrast_sampled", 1.0) not in (None, 1.0):
        text += " once the filter has chosen"
        return text, f"raise {_setting(args, 'num_remains_in_group')}, or another filter"
    if row.get("reward_std") == 0.0:
        return text, "look at samples.jsonl: is it the reward that you mean? Are the prompts too hard, or too easy?"
    settings = f"{_setting(args, 'num_generations')} or {_setting(args, 'temperature')}"
    return text, f"raise {settings}, or choose other prompts"


def is_cut_off(row: Row) -> bool | None:
    """Whether most completions end at the limit of tokens."""
    share = row.get("completions/clipped_ratio")
    return None if share is None else share >= MOST


def _describe_cut_off(row: Row, args: Any) -> tuple[str, str]:
    share = row["completions/clipped_ratio"]
    length = getattr(args, "max_completion_length", None)
    text = f"{share:.0%} of the completions are cut off at {length} tokens"
    if getattr(args, "mask_truncated_completions", False):
        text += ", and what is cut off is not trained on (args.mask_truncated_completions=true)"
    return text, f"raise {_setting(args, 'max_completion_length')}, or ask for shorter answers"


def is_empty(row: Row) -> bool | None:
    """Whether the completions consist of their end token alone."""
    length = row.get("completions/mean_length")
    return None if length is None else length <= 1.0


def _describe_empty(row: Row, args: Any) -> tuple[str, str]:
    length = _number(row["completions/mean_length"])
    text = f"the completions are empty ({length} tokens in the mean, with the end token)"
    return text, "is the prompt in the form that the model knows (chat template, end token)? See samples.jsonl"


def has_no_reward(row: Row) -> bool | None:
    """Whether no completion has a reward."""
    return row["reward"] is None if "reward" in row else None


def _describe_no_reward(row: Row, args: Any) -> tuple[str, str]:
    return "no completion got a reward: every function gave None or NaN", _missing_reward(row)


def has_silent_reward(row: Row) -> bool | None:
    """Whether one of several reward functions scores no completion."""
    return bool(_silent_functions(row)) and row["reward"] is not None if "reward" in row else None


def _describe_silent_reward(row: Row, args: Any) -> tuple[str, str]:
    names = ", ".join(_silent_functions(row))
    return f"the reward function {names} scored no completion (None or NaN)", _missing_reward(row)


def has_missing_reward(row: Row) -> bool | None:
    """Whether completions count as missing: a reward was NaN or infinite, or failed without stopping the run."""
    return bool(_missing_shares(row)) if "reward" in row else None


def _describe_missing_reward(row: Row, args: Any) -> tuple[str, str]:
    name = max(_missing_shares(row), key=lambda each: row[each])
    function, share = name.split("/")[1], f"{row[name]:.2g} of the completions"
    text = f"the reward function {function} gave no finite number for {share}, which count as missing"
    return text, f"look into reward.functions.{function}; worker.log has the first of them"


def has_no_gradient(row: Row) -> bool | None:
    """Whether the gradient is 0 for another reason than the rewards."""
    if has_no_contrast(row) or has_no_reward(row):
        return False  # that is the cause, and has an alert of its own
    return row["grad_norm"] == 0.0 if "grad_norm" in row else None


def _describe_no_gradient(row: Row, args: Any) -> tuple[str, str]:
    text = f"the gradient is 0 (loss {_number(row.get('loss'))}): no weight changes"
    if is_cut_off(row) and getattr(args, "mask_truncated_completions", False):
        return text, f"raise {_setting(args, 'max_completion_length')}: what is cut off is not trained on"
    if row.get("mean_token_accuracy") is not None:
        return text, _tokens_to_train_on(args)
    return text, "is anything left to train on: rewards that differ, tokens that are not masked, weights not frozen?"


def has_no_margin(row: Row) -> bool | None:
    """Whether the margin between chosen and rejected completions is 0."""
    return row["rewards/margins"] == 0.0 if "rewards/margins" in row else None


def _describe_no_margin(row: Row, args: Any) -> tuple[str, str]:
    text = "chosen and rejected completions are not told apart (rewards/margins 0)"
    return text, f"are the two the same text? Else {_setting(args, 'beta')}, {_setting(args, 'learning_rate')}"


def has_no_learning_rate(row: Row) -> bool | None:
    """Whether the learning rate is 0."""
    return row["learning_rate"] == 0.0 if "learning_rate" in row else None


def _describe_no_learning_rate(row: Row, args: Any) -> tuple[str, str]:
    names = ("learning_rate", "lr_scheduler_type", "warmup_steps")
    return "the learning rate is 0: no weight changes", f"change {', '.join(_setting(args, name) for name in names)}"


def _silent_functions(row: Row) -> list[str]:
    means = [name for name in row if name.startswith("rewards/") and name.endswith("/mean")]
    return [name.split("/")[1] for name in means if row[name] is None]


def _missing_shares(row: Row) -> list[str]:
    return [name for name in row if name.startswith("rewards/") and name.endswith("/missing") and row[name]]


def _missing_reward(row: Row) -> str:
    silent = _silent_functions(row)
    name = silent[0] if silent else "..."
    return f"look at reward.functions.{name}: is a column that it reads there, and not empty?"


def _tokens_to_train_on(args: Any) -> str:
    return f"raise {_setting(args, 'max_length')}: are prompts longer than that, or completions empty?"


def _setting(args: Any, name: str) -> str:
    """A setting with its current value."""
    value = getattr(args, name, None)
    value = getattr(value, "value", value)  # of an enumeration its text
    text = _number(value) if isinstance(value, float) else value
    return f"args.{name} (now {text})"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
