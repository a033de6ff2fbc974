"""Methods that TRL had and has no more: since which release, and what to take instead."""

from dataclasses import dataclass

from expctl.base.refusal import Refusal
from expctl.config.groups import group_options


@dataclass(frozen=True)
class Removed:
    """A method that left TRL.

    Args:
        since: the first release of TRL without it.
        instead: options of the group `algorithm` in its place, the nearest first.
        why: what makes them so; a sentence without its full stop.
    """

    since: str
    instead: tuple[str, ...]
    why: str


# By the names under `trl.experimental`; read off the wheels of 1.7.1 to 1.16.0.
REMOVED = {
    "bco": Removed("1.14", ("kto",), "KTO learns from the same unpaired labels"),
    "dppo": Removed("1.9", ("grpo",), "args.delta bounds the ratio from both sides there"),
    "gfpo": Removed("1.8", ("gfpo",), "expctl carries it"),
    "grpo_with_replay_buffer": Removed("1.14", ("grpo_replay",), "expctl carries it"),
    "gspo_token": Removed("1.14", ("gspo_token",), "expctl carries it"),
    "minillm": Removed("1.15", ("distillation", "gkd"), "both distil on the student's own completions"),
    "nash_md": Removed("1.14", ("online_dpo",), "it was online DPO against a mixture with the reference"),
    "papo": Removed("1.9", ("grpo",), "it was GRPO with a loss on masked images"),
    "ppo": Removed("1.13", ("rloo", "grpo"), "both take the mean of a group for the value model"),
    "prm": Removed("1.14", ("reward",), "a reward for whole completions; nothing trains on single steps any more"),
    "ssd": Removed("1.16", ("sdft", "sft"), "it was supervised training on the model's own completions"),
    "xpo": Removed("1.14", ("online_dpo",), "it was online DPO with a bonus for exploration"),
}
# Names that are spelled otherwise where people know them from.
SPELLINGS = {"nashmd": "nash_md", "grpo_replay_buffer": "grpo_with_replay_buffer"}


def removed_option(option: str, where: str) -> Refusal | None:
    """The refusal of `algorithm=<option>` where TRL had a method of this name; None for any other name."""
    name = option.lower().replace("-", "_")
    name = SPELLINGS.get(name, name)
    method = REMOVED.get(name)
    if method is None:
        return None
    return Refusal(
        f"no option '{option}' in group 'algorithm': TRL has no {name} since {method.since}",
        where=where,
        nearest=_known(method),
        do=_instead(method),
    )


def removed_target(target: str, where: str) -> Refusal | None:
    """The refusal of a `_target_` below a module that TRL has removed; None for any other path."""
    package, _, rest = target.partition(".experimental.")
    name = rest.partition(".")[0]
    if package != "trl" or name not in REMOVED:
        return None
    method = REMOVED[name]
    what = f"_target_ {target}: TRL has no {name} since {method.since}"
    return Refusal(what, where=where, nearest=[f"algorithm={option}" for option in _known(method)], do=_instead(method))


def _known(method: Removed) -> list[str]:
    options = group_options("algorithm")
    return [name for name in method.instead if name in options]


def _instead(method: Removed) -> str:
    return f"algorithm={method.instead[0]}: {method.why}"
